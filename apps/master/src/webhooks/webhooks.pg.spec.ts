import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '#harness';
import { as, auditOf, good, outcome, pages, settle } from '../testing/answers.js';
import { type StartedApp, startApp } from '../testing/start-app.js';
import { verified, WebhookReceiver } from '../testing/webhook-receiver.js';
import { newSigningKeyPem, signerFromPem } from '#artifacts';

let app: StartedApp;
let receiver: WebhookReceiver;
beforeAll(async () => {
  app = await startApp({ HELIO_WEBHOOK_NETWORKS: '127.0.0.0/8' });
  receiver = await WebhookReceiver.start();
  await settle(app, { prod: ['eu-west'], dev: ['lab'] });
});
afterAll(async () => {
  await app?.stop();
  receiver?.close();
});

const create = (path: string, more: object = {}) =>
  app.call('POST', '/v1/webhooks', { url: receiver.url + path, types: ['*'], ...more });
const test = (id: string) => app.call('POST', `/v1/webhooks/${id}/test`);

describe('a webhook', () => {
  it('is made, shown, changed and deleted by operators, with each change in the audit log', async () => {
    const [operator, viewer] = [await as(app, 'operator'), await as(app, 'viewer')];
    const body = {
      url: 'https://hooks.example.com/x',
      types: ['promotion.*', 'chain.fork'],
      environments: ['prod'],
      description: 'chat',
    };
    expect(await outcome(viewer('POST', '/v1/webhooks', body))).toBe('403 forbidden');
    const { secret, ...made } = await good(operator('POST', '/v1/webhooks', body));
    expect(made).toMatchObject({ ...body, enabled: true, problem: null, waiting: 0, dead: 0, failures: 0 });
    expect(Buffer.from(secret.slice('whsec_'.length), 'base64').length).toBe(32);
    const path = `/v1/webhooks/${made.id}`;
    expect(await outcome(viewer('GET', path))).toBe('403 forbidden');
    const { headers, body: shown } = await operator('GET', path);
    expect(shown).toEqual(made);
    expect(await outcome(operator('PATCH', path, { enabled: false }))).toBe('428 precondition_required');
    const etag = headers.get('etag') ?? '';
    await good(operator('PATCH', path, { enabled: false, environments: null }, { 'if-match': etag }));
    expect(await outcome(operator('PATCH', path, { enabled: true }, { 'if-match': etag }))).toBe(
      '412 precondition_failed',
    );
    expect(await outcome(test(made.id))).toBe('409 conflict');
    expect(await pages(app, '/v1/webhooks', 1)).toMatchObject([{ id: made.id, enabled: false, environments: null }]);
    expect(await outcome(operator('DELETE', path))).toBe('204');
    expect(await outcome(operator('GET', path))).toBe('404 not_found');
    const audit = await auditOf(app, `webhook/${made.id}`);
    expect(audit.map(({ action }) => action)).toEqual(['webhook.create', 'webhook.update', 'webhook.delete']);
  });

  it('is refused with what is wrong named', async () => {
    const refused = (body: object) => outcome(create('/', body));
    expect(await refused({ types: ['promotion'] })).toBe('400 invalid_request types[0]');
    expect(await refused({ types: [] })).toBe('400 invalid_request types');
    expect(await refused({ environments: ['prod', 'nowhere'] })).toBe('422 unknown_reference environments[1]');
    for (const url of ['ftp://example.com', 'https://user@example.com/', 'https://example.com/#x'])
      expect(await refused({ url }), url).toBe('400 invalid_request url');
    for (const url of [
      'https://10.0.0.1/',
      'https://[::1]/',
      'http://8.8.8.8/',
      'https://169.254.169.254/latest',
      'https://[::ffff:a00:1]/',
    ])
      expect(await refused({ url }), url).toBe('400 invalid_request url');
  });

  it('has a secret that is in the answer that made it, and nowhere else', async () => {
    const { id, secret } = await good(create('/once'));
    const bytes = Buffer.from(secret.slice(6), 'base64');
    const rows: { sealed: Buffer }[] = await app.source.query(
      'SELECT sealed FROM webhook_secret WHERE webhook_id = $1',
      [id],
    );
    expect(rows[0]?.sealed.includes(bytes)).toBe(false);
    const everywhere = JSON.stringify([
      await auditOf(app, `webhook/${id}`),
      await good(app.call('GET', `/v1/webhooks/${id}`)),
    ]);
    expect(everywhere).not.toContain(secret.slice(6, 20));
  });

  it('is signed by both secrets after a rotation until the overlap is over, which the library of receivers verifies', async () => {
    const first = await good(create('/rotated', { types: ['chain.fork'] }));
    const rotate = (overlapSeconds: number) => app.call('POST', `/v1/webhooks/${first.id}/rotate`, { overlapSeconds });
    await good(test(first.id));
    await receiver.count('/rotated', 1);
    const second = await good(rotate(3600));
    expect(second.secrets).toMatchObject([{ expiresAt: null }, { expiresAt: expect.any(String) }]);
    await good(test(first.id));
    await receiver.count('/rotated', 2);
    const third = await good(rotate(0));
    await good(test(first.id));
    const [one, both, last] = await receiver.count('/rotated', 3);
    if (!one || !both || !last) throw new Error('unreachable');
    expect(verified(one, first.secret)).toMatchObject({
      type: 'webhook.test',
      subject: `webhook/${first.id}`,
      id: one.headers['webhook-id'],
    });
    expect(() => verified(one, second.secret)).toThrow('No matching signature');
    for (const { secret } of [first, second]) expect(verified(both, secret).type).toBe('webhook.test');
    for (const { secret } of [first, second]) expect(() => verified(last, secret)).toThrow('No matching signature');
    expect(verified(last, third.secret).type).toBe('webhook.test');
    expect(() => verified({ ...last, body: last.body.replace('test', 'tess') }, third.secret)).toThrow();
  });

  it('whose secret was sealed under another signing key says so, waits, and sends when it has been rotated', async () => {
    const { id } = await good(create('/sealed', { types: ['chain.fork'] }));
    const other = signerFromPem(newSigningKeyPem()).keyId.toString('hex');
    await app.source.query('UPDATE webhook_secret SET sealed_by = $2 WHERE webhook_id = $1', [id, other]);
    await good(test(id));
    expect((await good(app.call('GET', `/v1/webhooks/${id}`))).problem).toContain('rotate it');
    const { secret } = await good(app.call('POST', `/v1/webhooks/${id}/rotate`, {}));
    const [one] = await receiver.count('/sealed', 1);
    expect(one && verified(one, secret).type).toBe('webhook.test');
  });
});

describe('a master without HELIO_WEBHOOK_NETWORKS', () => {
  it('sends nothing to private addresses, by whatever name', async () => {
    const strict = await startApp();
    try {
      expect(await outcome(strict.call('POST', '/v1/webhooks', { url: receiver.url, types: ['*'] }))).toBe(
        '400 invalid_request url',
      );
      const { port } = new URL(receiver.url);
      const { id } = await good(
        strict.call('POST', '/v1/webhooks', { url: `https://localhost:${port}/strict`, types: ['*'] }),
      );
      // as one that was made when the setting was another
      await strict.source.query('UPDATE webhook SET url = $2 WHERE id = $1', [id, `http://localhost:${port}/strict`]);
      const { event } = await good(strict.call('POST', `/v1/webhooks/${id}/test`));
      const delivery = await until(
        async () => {
          const [one] = (await good(strict.call('GET', `/v1/webhooks/${id}/deliveries?event=${event}`))).items;
          return one?.attemptedAt ? one : false;
        },
        { what: 'the attempt' },
      );
      expect(delivery).toMatchObject({ state: 'waiting', attempts: 1, status: null });
      expect(delivery.error).toContain('is no public address, and not in HELIO_WEBHOOK_NETWORKS');
      expect(receiver.at('/strict')).toEqual([]);
    } finally {
      await strict.stop();
    }
  });
});
