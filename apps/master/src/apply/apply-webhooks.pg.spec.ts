import { randomBytes } from 'node:crypto';
import { newSigningKeyPem, signerFromPem } from '#artifacts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { as, auditOf, good, outcome } from '../testing/answers.js';
import { type CallAnswer, type StartedApp, startApp, startBeside } from '../testing/start-app.js';
import { type Received, verified, WebhookReceiver } from '../testing/webhook-receiver.js';

let app: StartedApp;
let receiver: WebhookReceiver;
beforeAll(async () => {
  app = await startApp({ HELIO_WEBHOOK_NETWORKS: '127.0.0.0/8' });
  receiver = await WebhookReceiver.start();
});
afterAll(async () => {
  await app?.stop();
  receiver?.close();
});

type Doc = Record<string, unknown>;
const newSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;
const hook = (path: string, more: Doc = {}): Doc => ({
  kind: 'webhook',
  id: path.slice(1),
  url: receiver.url + path,
  types: ['promotion.*'],
  ...more,
});
const apply = (documents: Doc[], more: Doc = {}): Promise<CallAnswer> =>
  app.call('POST', '/v1/apply', { set: 'hooks', documents, ...more });
const fieldsOf = ({ body }: CallAnswer): Doc[] => body.changes.flatMap(({ fields }: { fields: Doc[] }) => fields);
const exported = async (): Promise<Doc[]> =>
  String(await good(app.call('GET', '/v1/export?set=hooks')))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Doc);

async function idOf(path: string): Promise<string> {
  const { items } = await good(app.call('GET', '/v1/webhooks'));
  return items.find(({ url }: { url: string }) => url === receiver.url + path).id;
}

/** What the endpoint is sent when the webhook is tried out. */
async function tried(path: string): Promise<Received> {
  const before = receiver.at(path).length;
  await good(app.call('POST', `/v1/webhooks/${await idOf(path)}/test`));
  return (await receiver.count(path, before + 1)).at(-1) as Received;
}

describe('a webhook of documents', () => {
  it('is made with the secret that is given, found again, changed and pruned', async () => {
    const secret = newSecret();
    const environments = ['dev'];
    const documents = [
      hook('/a', { id: 'pager', secret, environments, description: 'who is on call' }),
      { kind: 'environment', id: 'dev', position: 10 },
    ];
    const made = await apply(documents);
    expect(made.body, JSON.stringify(made.body)).toMatchObject({ summary: { create: 2, unchanged: 0 }, refused: [] });
    expect(verified(await tried('/a'), secret).type).toBe('webhook.test');
    expect((await apply(documents)).body.summary).toEqual({ create: 0, update: 0, delete: 0, unchanged: 2 });
    const changed = await apply([
      hook('/b', { id: 'pager', secret, enabled: false }),
      { kind: 'environment', id: 'dev', position: 10 },
    ]);
    expect(fieldsOf(changed)).toEqual([
      { path: '/url', before: `${receiver.url}/a`, after: `${receiver.url}/b` },
      { path: '/environments', before: environments, after: null },
      { path: '/description', before: 'who is on call', after: null },
      { path: '/enabled', before: true, after: false },
    ]);
    const { plan } = (await apply([], { prune: true, dryRun: true })).body;
    const gone = await apply([], { prune: true, expect: plan });
    expect(gone.body.changes.map(({ action, kind, id }: Doc) => [action, kind, id])).toEqual([
      ['delete', 'webhook', 'pager'],
      ['delete', 'environment', 'dev'],
    ]);
    expect((await good(app.call('GET', '/v1/webhooks'))).items).toEqual([]);
  });

  it('has a secret that no plan, export, audit line or answer shows, and whose change is a change', async () => {
    const [first, second] = [newSecret(), newSecret()];
    const answers = [await apply([hook('/c', { secret: first })])];
    expect(fieldsOf(answers[0] as CallAnswer)).toContainEqual({ path: '/secret', secret: true });
    answers.push(await apply([hook('/c', { secret: second })], { dryRun: true }));
    answers.push(await apply([hook('/c', { secret: second })]));
    for (const one of answers.slice(1)) expect(fieldsOf(one)).toEqual([{ path: '/secret', secret: true }]);
    // receivers have a day to learn it: the request is signed by both
    const received = await tried('/c');
    verified(received, first);
    verified(received, second);
    expect((await apply([hook('/c', { secret: second })])).body.summary.unchanged).toBe(1);
    answers.push(await apply([hook('/c', { secret: first })]), await apply([hook('/c', { secret: 'whsec_c2hvcnQ=' })]));
    expect(answers.at(-1)).toMatchObject({ status: 422, body: { errors: [{ field: '/documents/0/secret' }] } });
    const documents = await exported();
    expect(documents).toEqual([hook('/c')]);
    const { items } = await good(app.call('GET', '/v1/audit?limit=200'));
    const everything = JSON.stringify([answers, documents, items]);
    for (const text of [first, second, 'c2hvcnQ=']) expect(everything).not.toContain(text.replace('whsec_', ''));
    const audit = await auditOf(app, `webhook/${await idOf('/c')}`);
    expect(audit.map(({ action }) => action)).toEqual([
      'webhook.create',
      'webhook.rotate',
      'webhook.test',
      'webhook.rotate',
    ]);
  });

  it('without a secret keeps the one that it has, and gets one where it is new', async () => {
    const secret = newSecret();
    await good(apply([hook('/d', { secret })]));
    expect((await apply([hook('/d')])).body.summary).toMatchObject({ unchanged: 1 });
    verified(await tried('/d'), secret);
    await good(apply([hook('/d'), hook('/e', { id: 'another' })]));
    const { secret: known } = await good(app.call('POST', `/v1/webhooks/${await idOf('/e')}/rotate`, {}));
    verified(await tried('/e'), known);
  });

  it('that was made by hand is adopted by its id, and keeps its secret', async () => {
    const { id, secret } = await good(app.call('POST', '/v1/webhooks', { url: `${receiver.url}/hand`, types: ['*'] }));
    const adopted = await apply([hook('/hand', { id, types: ['*'] })]);
    expect(fieldsOf(adopted)).toEqual([{ path: '/set', before: null, after: 'hooks' }]);
    verified(await tried('/hand'), secret);
    expect((await exported()).map((one) => one.id)).toContain(id);
  });

  it('is refused as a single write of it is, by pointers', async () => {
    const refused = (more: Doc): Promise<string> => outcome(apply([hook('/f', more)]));
    expect(await refused({ url: 'https://10.0.0.1/' })).toBe('422 documents_invalid /documents/0/url');
    expect(await refused({ environments: ['nowhere'] })).toBe('422 documents_invalid /documents/0/environments/0');
    expect(await refused({ types: ['promotion'] })).toBe('422 documents_invalid /documents/0/types/0');
    for (const secret of ['x', 'whsec_', `whsec_${'!'.repeat(44)}`, newSecret().slice(6), { env: 'X' }])
      expect(await refused({ secret }), JSON.stringify(secret)).toBe('422 documents_invalid /documents/0/secret');
  });

  it('is for operators: others neither write, nor see, nor export it', async () => {
    const secret = newSecret();
    await good(apply([hook('/g', { secret })]));
    const [operator, publisher, viewer] = [
      await as(app, 'operator'),
      await as(app, 'publisher'),
      await as(app, 'viewer'),
    ];
    const send = (call: typeof viewer, more: Doc = {}): Promise<string> =>
      outcome(call('POST', '/v1/apply', { set: 'hooks', documents: [hook('/g', { secret })], ...more }));
    expect(await send(operator)).toBe('200');
    // also where nothing would change: whether it is so is not told to who may not see it
    expect(await send(publisher)).toBe('403 forbidden /documents/0');
    expect(await send(publisher, { dryRun: true })).toBe('403 forbidden /documents/0');
    expect(await send(viewer, { dryRun: true })).toBe('403 forbidden /documents/0');
    expect(
      await outcome(publisher('POST', '/v1/apply', { set: 'hooks', documents: [], prune: true, dryRun: true })),
    ).toMatch(/^403 forbidden \/prune/);
    for (const call of [publisher, viewer]) {
      const { headers, body } = await call('GET', '/v1/export');
      expect([headers.get('heliograph-left-out'), String(body).includes('webhook')]).toEqual(['webhook', false]);
    }
    const { headers, body } = await operator('GET', '/v1/export');
    expect([headers.get('heliograph-left-out'), String(body).includes('"webhook"')]).toEqual([null, true]);
  });

  it('whose secret was sealed under another signing key gets it written anew', async () => {
    const secret = newSecret();
    await good(apply([hook('/h', { secret })]));
    const config = { ...app.config, signer: signerFromPem(newSigningKeyPem()) };
    const beside = await startBeside({ ...app, config });
    try {
      const send = { set: 'hooks', documents: [hook('/h', { secret })], dryRun: true };
      expect(fieldsOf(await beside.call('POST', '/v1/apply', send))).toEqual([{ path: '/secret', secret: true }]);
    } finally {
      await beside.stop();
    }
  });
});
