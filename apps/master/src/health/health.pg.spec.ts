import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { headName, newSigningKeyPem, sealHead, signerFromPem } from '#artifacts';
import { until } from '#harness';
import { type CallAnswer, type StartedApp, startApp } from '../testing/start-app.js';

const stranger = signerFromPem(newSigningKeyPem());
let app: StartedApp;
/** connections that requests share */
const POOL = 2;
beforeEach(async () => {
  app = await startApp({ HELIO_DATABASE_POOL: `${POOL}` });
});
afterEach(() => app.stop());

/** `/readyz` once it is as `wanted`. */
const ready = (wanted: (answer: CallAnswer) => boolean, what: string): Promise<CallAnswer> =>
  until(
    async () => {
      const answer = await app.call('GET', '/readyz');
      return wanted(answer) && answer;
    },
    { what },
  );

describe('/readyz', () => {
  it('is 503, and names the environment, when its chain is signed with another key than this master has', async () => {
    const before = await ready(({ status }) => status === 200, 'it to be ready');
    expect(before.body).toMatchObject({ signingKey: 'ok' });
    // as it is after a master with that key has led it
    await app.source.query(`INSERT INTO chain (environment_id, public_key) VALUES ('prod', $1)`, [stranger.publicKey]);
    await app.call('POST', '/v1/environments', { id: 'prod', position: 1 });
    const { body } = await ready(({ status }) => status === 503, 'it to be unready');
    expect(body).toMatchObject({
      status: 'unavailable',
      database: 'ok',
      signingKey: expect.stringMatching(/^refused: prod is signed with another key; start this master with the key/),
      environments: [{ leader: false, error: expect.stringContaining(`the key ${stranger.keyId.toString('hex')}`) }],
    });
  });

  it('names a head in the store that somebody else has signed', async () => {
    const head = { environment: 'prod', epoch: 1, revision: 0, hash: '00'.repeat(32), root: '00'.repeat(32) };
    mkdirSync(join(app.storeDirectory, 'prod'), { recursive: true });
    const bytes = sealHead({ ...head, snapshot: null, issuedAt: 0, expiresAt: 1 }, stranger);
    writeFileSync(join(app.storeDirectory, headName('prod')), bytes);
    await app.call('POST', '/v1/environments', { id: 'prod', position: 1 });
    const { body } = await ready(
      (answer) => answer.body.environments[0]?.store?.state === 'conflict',
      'the conflict to be told',
    );
    expect(body.environments[0].store.error).toContain(`signed by the key ${stranger.keyId.toString('hex')}`);
  });
});

/** Holds a table while `work` goes on. */
async function holding(table: string, work: () => Promise<void>): Promise<void> {
  const holder = new pg.Client(app.config.DATABASE_URL);
  await holder.connect();
  try {
    await holder.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    await work();
  } finally {
    await holder.end();
  }
}

describe('while requests wait for a lock, with all connections that they share', () => {
  it('a master is ready, and its metrics say that it reads its database', async () => {
    await app.call('POST', '/v1/environments', { id: 'prod', position: 1 });
    const posts: Promise<CallAnswer>[] = [];
    await holding('plan', async () => {
      for (let n = 0; n < 2 * POOL; n++)
        posts.push(app.call('POST', '/v1/plans', { id: `plan-${n}` }, { 'idempotency-key': `${n}` }));
      const observer = new pg.Client(app.config.DATABASE_URL);
      await observer.connect();
      const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'helio-master' AND wait_event_type = 'Lock'`;
      await until(async () => (await observer.query(waiting)).rowCount === POOL, { what: 'all of them to wait' });
      await observer.end();
      expect(await app.call('GET', '/readyz')).toMatchObject({ status: 200, body: { database: 'ok' } });
      const { body } = await app.call('GET', '/metrics');
      expect(body).toContain('heliograph_jobs{state="waiting"} 0');
      expect(body).toMatch(/^heliograph_chain_revision\{environment="prod"\} /m);
    });
    expect((await Promise.all(posts)).map(({ status }) => status)).toEqual(posts.map(() => 201));
  });
});

describe('when what they ask the database is held up', () => {
  it('/readyz is 503, and /metrics goes without, before that is over', async () => {
    await app.call('POST', '/v1/environments', { id: 'prod', position: 1 });
    await holding('outbox', async () => {
      const [readyz, metrics] = await Promise.all([app.call('GET', '/readyz'), app.call('GET', '/metrics')]);
      expect(readyz).toMatchObject({ status: 503, body: { database: 'does not answer', environments: [] } });
      expect(metrics.body).toContain('# TYPE heliograph_chain_revision gauge');
      expect(metrics.body).not.toContain('heliograph_chain_revision{');
    });
    await ready(({ status }) => status === 200, 'it to be ready again');
  });
});
