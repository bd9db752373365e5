import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { generateKeyPairSync } from 'node:crypto';
import { afterEach } from 'vitest';
import { copyDatabase, type FreshDatabase, until } from '#harness';
import { type CallAnswer, type StartedApp, startApp, startElsewhere } from './start-app.js';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** A master with the environment `prod`, which may fetch from this machine. */
export async function begin(): Promise<StartedApp> {
  const app = await startApp({ HELIO_ISSUER_NETWORKS: '127.0.0.0/8' });
  ends.push(() => app.stop());
  await app.call('POST', '/v1/environments', { id: 'prod', position: 1 });
  return app;
}

export async function backUp(app: StartedApp): Promise<FreshDatabase> {
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
export async function restore(app: StartedApp, backup: FreshDatabase): Promise<StartedApp> {
  await stored(app);
  // without its database the former master publishes nothing any more
  const restored = await startElsewhere(app, backup.url, app.storeDirectory);
  ends.push(() => restored.stop());
  await until(async () => (await restored.call('GET', '/v1/restore-report')).body.items[0]?.finishedAt, {
    what: 'the restore to be over',
  });
  return restored;
}

/** What the report of the only restore says was kept, in order. */
export async function keptOf(app: StartedApp): Promise<string[]> {
  const [report] = (await app.call('GET', '/v1/restore-report')).body.items;
  const { items } = (await app.call('GET', `/v1/restore-report/${report.id}?kind=kept`)).body;
  return items.map(({ what }: CallAnswer['body']) => what).toSorted();
}

export const published = (app: StartedApp): Promise<unknown> =>
  until(async () => (await app.source.query('SELECT FROM outbox')).length === 0, { what: 'the publisher' });

/** An issuer outside; `kids`: the keys that it shows. */
export async function provider(): Promise<{ url: string; kids: string[] }> {
  const found = { url: '', kids: ['first', 'second'] };
  const jwks = new Map<string, object>();
  const jwk = (kid: string): object => {
    const key = jwks.get(kid) ?? generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
    jwks.set(kid, key);
    return { ...key, kid };
  };
  const server: Server = createServer((_, response) => response.end(JSON.stringify({ keys: found.kids.map(jwk) })));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(async () => server.close().closeAllConnections());
  found.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return found;
}
