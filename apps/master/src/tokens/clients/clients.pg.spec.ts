import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clientKey, decodeClientRecord, isWellFormedClientSecret, TABLE } from '#model';
import { basic, type MadeClient, newApplication, newClient, oauth, onChain, tokenOf } from '../../testing/oauth.js';
import { type CallAnswer, type StartedApp, startApp } from '../../testing/start-app.js';

const ISSUER = 'http://localhost:0';

let app: StartedApp;
beforeAll(async () => {
  app = await startApp();
  for (const [position, id] of ['dev', 'prod'].entries()) await app.call('POST', '/v1/environments', { id, position });
});
afterAll(() => app?.stop());

const recordOf = async ({ id }: MadeClient) => {
  const value = (await onChain(app, TABLE.client)).get(clientKey(ISSUER, id).toString('hex'));
  return value ? decodeClientRecord(value) : null;
};
const obtains = async ({ id, secret }: Pick<MadeClient, 'id' | 'secret'>): Promise<boolean> => {
  const form = { grant_type: 'client_credentials', client_id: id, client_secret: secret };
  return (await oauth(app, 'token', form)).status === 200;
};

describe('a client', () => {
  it('is made with a secret that is shown once, and is on the chain with its key and its application', async () => {
    const application = await newApplication(app);
    const path = `/v1/applications/${application}/clients`;
    const fields = { environment: 'prod', name: 'sync', scopes: ['a', 'b'], ips: ['10.0.0.0/8'], tokenSeconds: 600 };
    const made = await app.call('POST', path, fields);
    expect([made.status, made.headers.get('etag')]).toEqual([201, '"1"']);
    const { secret, ...view } = made.body;
    expect(view).toMatchObject({ ...fields, application, status: 'active', notBefore: null, createdBy: 'bootstrap' });
    expect(view.id).toMatch(/^hgc_[0-9A-Za-z]{22}$/);
    expect(isWellFormedClientSecret(secret)).toBe(true);
    expect(view.secrets).toEqual([{ hint: secret.slice(0, 14), expiresAt: null, createdAt: expect.any(String) }]);
    expect(made.headers.get('location')).toBe(`${path}/${view.id}`);
    expect((await app.call('GET', `${path}/${view.id}`)).body).toEqual(view);
    expect((await app.call('GET', path)).body).toEqual({ items: [view], next: null });
    expect(await recordOf({ ...view, secret })).toEqual({ application, scopes: ['a', 'b'], ips: ['10.0.0.0/8'] });
    const prod = (table: number) => onChain(app, table).then((entries) => [...entries.keys()]);
    expect(await prod(TABLE.application)).toContain(application.replaceAll('-', ''));
    expect(await prod(TABLE.jwks)).toEqual([Buffer.from(ISSUER).toString('hex')]);
    expect((await onChain(app, TABLE.application, 'dev')).size).toBe(0);
  });

  it('is refused with each fault named', async () => {
    const application = await newApplication(app);
    const path = `/v1/applications/${application}/clients`;
    const faulty = {
      environment: 'Prod',
      scopes: ['a b'],
      ips: ['x'],
      tokenSeconds: 59,
      expiresAt: '2020-01-01T00:00:00Z',
    };
    const { status, body } = await app.call('POST', path, faulty);
    const fields = body.errors.map((fault: { field: string }) => fault.field).sort();
    expect([status, fields]).toEqual([400, ['environment', 'expiresAt', 'ips[0]', 'scopes[0]', 'tokenSeconds']]);
    expect((await app.call('POST', path, { environment: 'nowhere' })).body.code).toBe('unknown_reference');
    const nobody = '/v1/applications/00000000-0000-4000-8000-000000000000/clients';
    expect((await app.call('POST', nobody, { environment: 'prod' })).status).toBe(404);
    expect((await app.call('GET', nobody)).status).toBe(404);
    const made = await newClient(app);
    expect((await app.call('GET', `${path}/${made.id}`)).status).toBe(404);
  });

  it('lists page by page, by environment', async () => {
    const application = await newApplication(app);
    const path = `/v1/applications/${application}/clients`;
    const ids = [];
    for (const environment of ['prod', 'dev', 'prod'])
      ids.push((await app.call('POST', path, { environment })).body.id);
    const first = (await app.call('GET', `${path}?limit=2`)).body;
    const second = (await app.call('GET', `${path}?limit=2&cursor=${first.next}`)).body;
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(ids);
    expect(second.next).toBeNull();
    expect((await app.call('GET', `${path}?environment=dev`)).body.items).toHaveLength(1);
  });

  it('is changed by who has seen it, and its chain follows', async () => {
    const client = await newClient(app);
    const unseen = await app.call('PATCH', client.path, { scopes: [] });
    expect(unseen.status).toBe(428);
    const change = { scopes: ['orders:read'], ips: ['192.0.2.1'], name: 'x', tokenSeconds: 120 };
    const changed = await app.call('PATCH', client.path, change, { 'if-match': '"1"' });
    expect([changed.status, changed.headers.get('etag')]).toEqual([200, '"2"']);
    expect(changed.body).toMatchObject(change);
    expect(await recordOf(client)).toMatchObject({ scopes: ['orders:read'], ips: ['192.0.2.1'] });
    expect((await app.call('PATCH', client.path, change, { 'if-match': '"1"' })).status).toBe(412);
    expect(decodeJwt(await tokenOf(app, client)).scope).toBe('orders:read');
  });

  it('goes with its application', async () => {
    const client = await newClient(app);
    expect(await recordOf(client)).not.toBeNull();
    expect((await app.call('DELETE', `/v1/applications/${client.application}`)).status).toBe(204);
    expect(await recordOf(client)).toBeNull();
    const ids = [...(await onChain(app, TABLE.application)).keys()];
    expect(ids).not.toContain(client.application.replaceAll('-', ''));
    expect(await obtains(client)).toBe(false);
  });

  it('keeps its environment from being deleted', async () => {
    await app.call('POST', '/v1/environments', { id: 'short', position: 9 });
    const client = await newClient(app, { environment: 'short' });
    const refused = await app.call('DELETE', '/v1/environments/short');
    expect([refused.status, refused.body.code]).toEqual([409, 'in_use']);
    expect(refused.body.detail).toContain(client.id);
    await app.call('DELETE', `/v1/applications/${client.application}`);
    expect((await app.call('DELETE', '/v1/environments/short')).status).toBe(204);
  });
});

describe('the secret of a client', () => {
  it('is rotated with an overlap, and the former one is refused after it', async () => {
    const client = await newClient(app);
    const rotated = await app.call('POST', `${client.path}/rotate`);
    expect([rotated.status, rotated.body.secrets.length]).toEqual([201, 2]);
    const end = Date.parse(rotated.body.secrets[0].expiresAt);
    expect(Math.abs(end - Date.now() - 86_400_000)).toBeLessThan(60_000);
    const next = { id: client.id, secret: rotated.body.secret as string };
    expect([await obtains(client), await obtains(next)]).toEqual([true, true]);
    await app.source.query(
      `UPDATE oauth_client_secret SET expires_at = now() - interval '1 second' WHERE client_id = $1 AND expires_at IS NOT NULL`,
      [client.id],
    );
    expect([await obtains(client), await obtains(next)]).toEqual([false, true]);
  });

  it('that has leaked is rotated without an overlap', async () => {
    const client = await newClient(app);
    const { body } = await app.call('POST', `${client.path}/rotate`, { overlapSeconds: 0 });
    expect([await obtains(client), await obtains({ id: client.id, secret: body.secret })]).toEqual([false, true]);
    expect(body.secrets).toHaveLength(1);
  });

  it('is not prolonged by another rotation, and no client has more than a few', async () => {
    const client = await newClient(app);
    const first = (await app.call('POST', `${client.path}/rotate`, { overlapSeconds: 100 })).body.secrets[0].expiresAt;
    const again = await app.call('POST', `${client.path}/rotate`, { overlapSeconds: 1000 });
    expect(again.body.secrets[0].expiresAt).toBe(first);
    const more: CallAnswer[] = [];
    for (let i = 0; i < 3; i++) more.push(await app.call('POST', `${client.path}/rotate`));
    expect(more.map(({ status }) => status)).toEqual([201, 201, 409]);
    expect((await app.call('POST', `${client.path}/rotate`, { overlapSeconds: 0 })).body.secrets).toHaveLength(1);
  });

  it('is nowhere but in the answer: not in the database in clear, the audit log, or the answer that is kept', async () => {
    const application = await newApplication(app);
    const path = `/v1/applications/${application}/clients`;
    const key = { 'idempotency-key': 'make-1' };
    const made = await app.call('POST', path, { environment: 'prod' }, key);
    const again = await app.call('POST', path, { environment: 'prod' }, key);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(again.body.secret).toBe(made.body.secret);
    const rotated = await app.call('POST', `${path}/${made.body.id}/rotate`);
    const token = await tokenOf(app, made.body);
    await app.call('POST', '/v1/environments/prod/revoked-tokens', { token }, { 'idempotency-key': 'revoke-1' });
    const tables: { name: string }[] = await app.source.query(
      `SELECT quote_ident(relname) AS name FROM pg_stat_user_tables WHERE schemaname = 'public'`,
    );
    let rows = 0;
    for (const { name } of tables) {
      const found: { line: string }[] = await app.source.query(`SELECT t::text AS line FROM ${name} t`);
      rows += found.length;
      for (const { line } of found)
        for (const secret of [made.body.secret, rotated.body.secret, token])
          for (const form of [secret, Buffer.from(secret).toString('hex')])
            expect(line.includes(form), `${name} has it in ${line.slice(0, 200)}`).toBe(false);
    }
    expect(rows).toBeGreaterThan(10);
  });
});

describe('what is taken from a client', () => {
  it('when it is revoked: it leaves the chain, obtains no token, and stays revoked', async () => {
    const client = await newClient(app);
    const revoked = await app.call('POST', `${client.path}/revoke`, { reason: 'left' });
    expect(revoked.body).toMatchObject({ status: 'revoked', revokedReason: 'left', secrets: [] });
    expect(revoked.headers.get('heliograph-revision')).toMatch(/^prod@\d+$/);
    expect([await recordOf(client), await obtains(client)]).toEqual([null, false]);
    const again = await app.call('POST', `${client.path}/revoke`);
    expect([again.status, again.body]).toEqual([200, revoked.body]);
    for (const [method, path, body] of [
      ['POST', '/rotate', {}],
      ['POST', '/revoke-tokens', {}],
      ['PATCH', '', { name: 'y' }],
    ] as const) {
      const refused = await app.call(method, client.path + path, body, { 'if-match': '*' });
      expect([path, refused.status]).toEqual([path, 409]);
    }
  });

  it('when its tokens are revoked: those from before are refused, and the next one is good', async () => {
    const client = await newClient(app);
    const before = decodeJwt(await tokenOf(app, client));
    const { body } = await app.call('POST', `${client.path}/revoke-tokens`);
    const notBefore = Date.parse(body.notBefore) / 1000;
    expect((await recordOf(client))?.notBefore).toBe(notBefore);
    expect(before.iat).toBeLessThan(notBefore);
    const next = decodeJwt(await tokenOf(app, client));
    expect(next.iat).toBeGreaterThanOrEqual(notBefore);
    expect(Math.floor(Date.now() / 1000)).toBeGreaterThanOrEqual(notBefore);
  });

  it('when its tokens are revoked up to a time: never less than it was', async () => {
    const client = await newClient(app);
    const at = (seconds: number): string => new Date(Date.now() - seconds * 1000).toISOString();
    const hour = at(3600);
    expect((await app.call('POST', `${client.path}/revoke-tokens`, { before: hour })).body.notBefore).toBe(hour);
    expect((await app.call('POST', `${client.path}/revoke-tokens`, { before: at(7200) })).body.notBefore).toBe(hour);
    expect((await recordOf(client))?.notBefore).toBe(Math.ceil(Date.parse(hour) / 1000));
    const future = await app.call('POST', `${client.path}/revoke-tokens`, { before: at(-60) });
    expect(future.status).toBe(400);
  });

  it('only by those who may write', async () => {
    const client = await newClient(app);
    const { body } = await app.call('POST', '/v1/access-tokens', { name: 'reader', role: 'viewer' });
    const asViewer = { authorization: `Bearer ${body.token}` };
    expect((await app.call('GET', client.path, undefined, asViewer)).status).toBe(200);
    for (const path of ['/revoke', '/rotate', '/revoke-tokens'])
      expect((await app.call('POST', client.path + path, {}, asViewer)).status).toBe(403);
    const asClient = { authorization: basic(client.id, client.secret) };
    expect((await app.call('GET', client.path, undefined, asClient)).status).toBe(401);
  });
});
