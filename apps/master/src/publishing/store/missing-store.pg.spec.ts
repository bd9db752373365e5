import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freshDatabase, until } from '#harness';
import { type StartedApp, startApp, startElsewhere } from '../../testing/start-app.js';

let donor: StartedApp;
let database: Awaited<ReturnType<typeof freshDatabase>>;
const directory = mkdtempSync(join(tmpdir(), 'helio-missing-'));
const store = join(directory, 'store');
let master: StartedApp | undefined;
beforeEach(async () => {
  donor = await startApp();
  database = await freshDatabase();
});
afterEach(async () => {
  await master?.stop();
  await database.drop();
  await donor.stop();
  rmSync(directory, { recursive: true, maxRetries: 10, force: true });
});

const start = async (): Promise<StartedApp> => (master = await startElsewhere(donor, database.url, store));

/** What `/readyz` says of prod, once its store is so. */
const prodOnce = (app: StartedApp, state: string) =>
  until(
    async () => {
      const { status, body } = await app.call('GET', '/readyz');
      const [prod] = body.environments;
      return status === 200 && prod?.store?.state === state && prod;
    },
    { what: `the store to be ${state}` },
  );

describe('a store directory that is missing when a master starts', () => {
  it('is made for a new system, is not for one that has stored a chain, and is filled when it is back', async () => {
    const first = await start();
    expect((await first.call('POST', '/v1/environments', { id: 'prod', position: 1 })).status).toBe(201);
    expect((await first.call('POST', '/v1/plans', { id: 'gold' })).status).toBe(201);
    await until(async () => (await prodOnce(first, 'ok')).storedRevision > 0, { what: 'the chain to be stored' });
    await first.stop();

    renameSync(store, `${store}.away`);
    const second = await start();
    const failing = await prodOnce(second, 'failing');
    expect(failing.store.error).toContain('does not exist: moved away, not mounted, or never made');
    const written = await second.call('POST', '/v1/plans', { id: 'silver' });
    expect(written.status).toBe(201);
    expect(existsSync(store)).toBe(false);

    renameSync(`${store}.away`, store);
    const { revision } = await prodOnce(second, 'ok');
    expect(written.headers.get('heliograph-revision')).toBe(`prod@${revision}`);
    await until(async () => (await prodOnce(second, 'ok')).storedRevision === revision, { what: 'it to be filled' });
  });
});
