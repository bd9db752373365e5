import { decodeJwt } from 'jose';
import { afterEach, expect, it } from 'vitest';
import { copyDatabase, type FreshDatabase, until } from '#harness';
import { clientKey, decodeClientRecord, decodeIssuerRecord, issuerKey, revokedTokenKey, TABLE } from '#model';
import { type MadeClient, newClient, oauth, onChain, tokenOf } from '../testing/oauth.js';
import { type StartedApp, startApp, startElsewhere } from '../testing/start-app.js';

const ISSUER = 'http://localhost:0';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function begin(): Promise<StartedApp> {
  const app = await startApp();
  ends.push(() => app.stop());
  await app.call('POST', '/v1/environments', { id: 'prod', position: 1 });
  return app;
}

async function backUp(app: StartedApp): Promise<FreshDatabase> {
  await stored(app);
  const backup = await copyDatabase(app.config.DATABASE_URL);
  ends.push(() => backup.drop());
  // it has disconnected everybody
  await until(async () => (await app.call('GET', '/v1/environments')).status === 200, {
    what: 'the master to be back',
  });
  return backup;
}

const stored = (app: StartedApp): Promise<unknown> =>
  until(
    async () => {
      const [row] = await app.source.query(
        `SELECT revision = stored_revision AS done FROM chain WHERE environment_id = 'prod'`,
      );
      const [waiting] = await app.source.query('SELECT count(*)::int AS n FROM outbox');
      return row.done && waiting.n === 0;
    },
    { what: 'the store to have everything' },
  );

/** The store is kept; the database is the one of before. */
async function restore(app: StartedApp, backup: FreshDatabase): Promise<StartedApp> {
  await stored(app);
  // without its database the former master publishes nothing any more
  const restored = await startElsewhere(app, backup.url, app.storeDirectory);
  ends.push(() => restored.stop());
  await until(async () => (await restored.call('GET', '/v1/restore-report')).body.items[0]?.finishedAt, {
    what: 'the restore to be over',
  });
  return restored;
}

const obtains = async (app: StartedApp, { id, secret }: MadeClient): Promise<boolean> =>
  (await oauth(app, 'token', { grant_type: 'client_credentials', client_id: id, client_secret: secret })).status ===
  200;

it('R9 gives back no client, token, or key of tokens that was taken away after the backup', async () => {
  const app = await begin();
  const [gone, cut, kept] = [await newClient(app), await newClient(app), await newClient(app)];
  const [first] = (await app.call('GET', '/v1/environments/prod/token-keys')).body.items;
  const token = await tokenOf(app, kept);
  const backup = await backUp(app);
  await app.call('POST', `${gone.path}/revoke`);
  const { notBefore } = (await app.call('POST', `${cut.path}/revoke-tokens`)).body;
  await app.call('POST', '/v1/environments/prod/revoked-tokens', { token });
  expect((await app.call('POST', '/v1/environments/prod/token-keys/rotate', { emergency: true })).status).toBe(201);

  const restored = await restore(app, backup);
  await tokenOf(restored, kept); // by a key that is neither the leaked one nor the one that is lost
  await until(async () => (await restored.source.query('SELECT 1 FROM outbox')).length === 0, {
    what: 'the publisher',
  });
  const clients = await onChain(restored, TABLE.client);
  const clientOn = (client: MadeClient) => clients.get(clientKey(ISSUER, client.id).toString('hex'));
  expect(clientOn(gone)).toBeUndefined();
  expect(decodeClientRecord(clientOn(cut) ?? Buffer.of()).notBefore).toBe(Date.parse(notBefore) / 1000);
  expect(decodeClientRecord(clientOn(kept) ?? Buffer.of())).not.toHaveProperty('notBefore');
  const revoked = await onChain(restored, TABLE.revoked_token);
  expect([...revoked.keys()]).toEqual([revokedTokenKey(ISSUER, decodeJwt(token).jti ?? '').toString('hex')]);
  const issuer = (await onChain(restored, TABLE.jwks)).get(issuerKey(ISSUER).toString('hex')) ?? Buffer.of();
  expect(decodeIssuerRecord(issuer).keys.map(({ kid }) => kid)).not.toContain(first.kid);

  expect([await obtains(restored, gone), await obtains(restored, cut), await obtains(restored, kept)]).toEqual([
    false,
    true,
    true,
  ]);
  const [report] = (await restored.call('GET', '/v1/restore-report')).body.items;
  const items = (await restored.call('GET', `/v1/restore-report/${report.id}?kind=kept`)).body.items;
  expect(items.map(({ what }: { what: string }) => what).toSorted()).toEqual([
    'client',
    'token',
    'token-key',
    'tokens',
  ]);
});
