import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import pg from 'pg';
import { type FreshDatabase, freshDatabase, type Master, startMaster, until } from '#harness';

let database: FreshDatabase;
let master: Master;
let directory: string;
beforeAll(async () => {
  database = await freshDatabase();
  const env = { HELIO_LOG_LEVEL: 'debug' };
  directory = mkdtempSync(join(tmpdir(), 'helio-secrets-'));
  master = await startMaster({ database: database.url, store: `file://${directory}/store`, env });
});
afterAll(async () => {
  await master?.stop();
  await database?.drop();
  rmSync(directory, { recursive: true, force: true });
});

const basic = (id: string, secret: string): string => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;

it('a master logs no secret of a client, and no token, whatever goes wrong', async () => {
  const { client: admin } = master;
  await admin.post('/v1/environments', { id: 'prod', position: 1 });
  const { body: application } = await admin.post('/v1/applications', { name: 'crm' });
  const path = `/v1/applications/${application.id}/clients`;
  const { body: made } = await admin.post(path, { environment: 'prod' });
  const { body: other } = await admin.post(path, { environment: 'prod' });
  const authorization = basic(made.id, made.secret);
  const ask = async (to: string, form: Record<string, string>, headers: Record<string, string> = { authorization }) => {
    const response = await fetch(master.url + to, { method: 'POST', headers, body: new URLSearchParams(form) });
    const text = await response.text();
    return { status: response.status, text, body: text === '' ? null : JSON.parse(text) };
  };
  const grant = { grant_type: 'client_credentials' };
  const token: string = (await ask('/oauth/token', grant)).body.access_token;
  const both = { ...grant, client_id: made.id, client_secret: made.secret };
  const refusals = [
    await ask('/oauth/token', both),
    await ask(`/oauth/token?client_secret=${made.secret}`, grant),
    await ask('/oauth/token', { ...grant, scope: made.secret }),
    await ask('/oauth/token', { grant_type: made.secret }),
    await ask('/oauth/token', both, { authorization: `Bearer ${made.secret}` }),
    await ask('/oauth/revoke', { token }, { authorization: basic(other.id, other.secret) }),
    await ask('/oauth/introspect', { token }, { authorization: `Bearer ${token}` }),
  ];
  for (let i = 0; i < 11; i++)
    refusals.push(await ask('/oauth/token', grant, { authorization: basic(other.id, made.secret) }));
  const operator = { authorization: `Bearer ${master.adminToken}`, 'content-type': 'application/json' };
  for (const body of [{ token: `${token}.x`, jti: 'x' }, { token: made.secret }])
    refusals.push(
      await fetch(`${master.url}/v1/environments/prod/revoked-tokens`, {
        method: 'POST',
        headers: operator,
        body: JSON.stringify(body),
      }).then(async (response) => ({ status: response.status, text: await response.text(), body: null })),
    );
  const sql = new pg.Client(database.url);
  await sql.connect();
  await sql.query('ALTER TABLE oauth_client_secret RENAME TO elsewhere');
  await sql.end();
  refusals.push(await ask('/oauth/token', both, {}));
  for (const { status, text } of refusals) {
    expect(status).toBeGreaterThanOrEqual(400);
    for (const secret of [made.secret, other.secret, token]) expect(text).not.toContain(secret);
  }
  await until(() => /fails to authenticate/.test(master.output()) && /a request failed/.test(master.output()), {
    what: 'the log to tell of it',
  });
  for (const secret of [made.secret, other.secret, token, authorization.slice('Basic '.length)])
    expect(master.output()).not.toContain(secret);
});
