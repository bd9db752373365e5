import { decodeJwt } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '#harness';
import { newClient, oauth, tokenOf } from '../testing/oauth.js';
import { type StartedApp, startApp } from '../testing/start-app.js';

let app: StartedApp;
beforeAll(async () => {
  app = await startApp();
  await app.call('POST', '/v1/environments', { id: 'prod', position: 1 });
});
afterAll(() => app?.stop());

const seconds = async (): Promise<number> =>
  (await app.source.query('SELECT extract(epoch FROM clock_timestamp())::float8 AS now'))[0].now;

it('leaves no token in force that was issued before all of its client were revoked, however long the commit takes', async () => {
  const [client, other] = [await newClient(app), await newClient(app)];
  const form = { grant_type: 'client_credentials', client_id: client.id, client_secret: client.secret };
  const before = decodeJwt(await tokenOf(app, client));
  const hold = app.source.createQueryRunner();
  try {
    await hold.startTransaction();
    await hold.query('LOCK TABLE audit IN SHARE MODE'); // the last thing that a write does, so its commit has to wait
    const revoked = app.call('POST', `${client.path}/revoke-tokens`);
    const waiting = `SELECT FROM pg_locks WHERE NOT granted AND relation = 'audit'::regclass`;
    await until(async () => (await app.source.query(waiting)).length > 0, { what: 'the write to wait' });
    const since = await seconds();
    await until(async () => (await seconds()) > since + 2, { what: 'the second of the revocation to be over' });
    const refused = await oauth(app, 'token', form);
    expect([refused.status, refused.body.error]).toEqual([503, 'temporarily_unavailable']);
    expect(refused.headers.get('retry-after')).toBe('1');
    await tokenOf(app, other); // whom it is nothing to
    const next = oauth(app, 'token', form);
    await hold.commitTransaction();
    const { status, body } = await revoked;
    expect(status).toBe(200);
    const notBefore = Date.parse(body.notBefore) / 1000;
    expect(before.iat).toBeLessThan(notBefore);
    expect(decodeJwt((await next).body.access_token).iat).toBeGreaterThanOrEqual(notBefore);
  } finally {
    if (hold.isTransactionActive) await hold.rollbackTransaction();
    await hold.release();
  }
});
