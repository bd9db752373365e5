import { decodeJwt } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { clientKey, decodeClientRecord, newClientSecret, TABLE } from '#model';
import { auditOf, good } from '../../testing/answers.js';
import { newClient, oauth, onChain, tokenOf } from '../../testing/oauth.js';
import { type CallAnswer, type StartedApp, startApp } from '../../testing/start-app.js';

let app: StartedApp;
beforeAll(async () => {
  app = await startApp();
  await good(app.call('POST', '/v1/environments', { id: 'prod', position: 1 }));
});
afterAll(() => app?.stop());

const report = (body: object): Promise<CallAnswer> => app.call('POST', '/v1/leaked-keys', body);

it("a client's secret that was found is taken no more, nor are tokens of before; its next secret goes on", async () => {
  const client = await newClient(app);
  const token = decodeJwt(await tokenOf(app, client));
  const next = await good(app.call('POST', `${client.path}/rotate`));
  const looked = await good(report({ key: client.secret, revoke: false }));
  expect(looked).toMatchObject({ wellFormed: true, keys: [], clients: [{ id: client.id, notBefore: null }] });
  await tokenOf(app, client);

  const answer = await report({ key: client.secret, reason: 'in a public repository' });
  expect(answer.headers.get('heliograph-revision')).toMatch(/^prod@\d+$/);
  const [shown] = answer.body.clients;
  expect(shown).toMatchObject({ id: client.id, status: 'active', secrets: [{ hint: next.secret.slice(0, 14) }] });
  expect(token.iat).toBeLessThan(Date.parse(shown.notBefore) / 1000);
  const entry = clientKey(token.iss ?? '', client.id).toString('hex');
  const record = decodeClientRecord((await onChain(app, TABLE.client)).get(entry) ?? Buffer.of());
  expect(record.notBefore).toBe(Date.parse(shown.notBefore) / 1000);
  const form = { grant_type: 'client_credentials', client_id: client.id, client_secret: client.secret };
  expect((await oauth(app, 'token', form)).status).toBe(401);
  await tokenOf(app, { ...client, secret: next.secret });

  expect((await good(report({ key: client.secret }))).clients).toEqual([shown]); // once more changes nothing
  const audit = await auditOf(app, `client/${client.id}`);
  expect(audit.at(-1)).toMatchObject({ action: 'client.end-secret', after: { reason: 'in a public repository' } });
  expect(JSON.stringify(audit)).not.toContain(client.secret);
});

it("a client's secret that nobody has is told from one that is none", async () => {
  const secret = newClientSecret();
  expect(await good(report({ key: secret }))).toEqual({ wellFormed: true, keys: [], clients: [] });
  const flipped = secret.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
  expect((await good(report({ key: flipped }))).wellFormed).toBe(false);
});
