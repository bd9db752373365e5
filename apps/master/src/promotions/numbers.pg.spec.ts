import { until } from '#harness';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { good, pages } from '../testing/answers.js';
import { PromotionScene } from '../testing/promotion-scene.js';
import type { Query } from '../publishing/options.js';
import { SceneReplica } from '../testing/scene-replica.js';
import { NOTHING, type Numbers } from './gates.js';
import { readPromotion } from './promotion-row.js';
import { SampledNumbers } from './release-numbers.js';
import { numbersOfWave } from './wave-numbers.js';

const API = 'weather:v1';
let scene: PromotionScene;
let west: SceneReplica;
let east: SceneReplica;

beforeAll(async () => {
  scene = await PromotionScene.start();
  await scene.placed('staging', { [`${API}@stage`]: scene.release(1) });
  west = await SceneReplica.join(scene.app, 'eu-west');
  east = await SceneReplica.join(scene.app, 'us-east');
});
afterAll(() => scene?.app.stop());
beforeEach(async () => {
  for (const { id } of await pages(scene.app, '/v1/promotions?state=open', 50)) {
    await good(scene.act(id, 'abort'));
    await scene.is(id, 'rolled-back');
  }
  await scene.placed('prod', { [`${API}@eu-west`]: scene.release(0), [`${API}@us-east`]: scene.release(0) });
});

const strategy = { waves: [['eu-west'], ['us-east']], soak: 0, gates: { minRequests: 50 } };

async function soaking(): Promise<string> {
  const { id } = await good(scene.promote({ release: scene.release(1), strategy }));
  await scene.is(id, 'soaking');
  return id;
}

/** Counts and reports, and waits until the master has it. */
async function served(replica: SceneReplica, release: string, requests: number, errors: number): Promise<void> {
  const rows = (): Promise<{ n: number }[]> => scene.app.source.query('SELECT count(*)::int AS n FROM release_sample');
  const n = (await rows())[0]?.n ?? 0;
  replica.serve(API, release, requests, errors);
  replica.report();
  await until(async () => ((await rows())[0]?.n ?? 0) > n, { what: 'the report to be written' });
}

/** Sends all that has happened so far into the past. */
async function past(id: string, minutes: number): Promise<void> {
  const { source } = scene.app;
  await source.query("UPDATE release_sample SET at = at - $1 * interval '1 minute'", [minutes]);
  await source.query(
    `UPDATE promotion SET wave_since = wave_since - $2 * interval '1 minute', counted_since = counted_since - $2 * interval '1 minute' WHERE id = $1`,
    [id, minutes],
  );
}

/** What the gates see of `weather:v1` in `eu-west`, since its wave began and before. */
function counted(): { numbers: (id: string) => Promise<Numbers[]>; forget: () => Promise<void> } {
  const query: Query = (sql, parameters) => scene.app.source.query(sql, parameters);
  const sampled = new SampledNumbers(query);
  return {
    forget: () => sampled.forget(),
    numbers: async (id) => {
      const row = await readPromotion(query, id);
      const [wave] = row ? await numbersOfWave(query, sampled, row) : [];
      return [wave?.regions, wave?.before].map((by) => by?.get('eu-west') ?? NOTHING);
    },
  };
}

const waitsFor = (id: string, text: string) =>
  until(async () => (await scene.get(id)).waitsFor === text, { what: text, within: 10_000 });

describe('a wave that soaks', () => {
  it('P3 counts requests of its own release in its own regions since its own start, and waits for enough of them', async () => {
    await served(west, scene.release(1), 1000, 1000); // long ago, all of them errors
    await served(west, scene.release(0), 500, 0);
    const id = await soaking();
    await served(west, scene.release(0), 500, 0); // the other release
    await served(east, scene.release(1), 500, 500); // another region
    await waitsFor(id, `${API} has had 0 of 50 requests in this wave, as far as replicas have told (every 5 s)`);
    await served(west, scene.release(1), 7, 0); // the first report may hold some from before: counting begins here
    await served(west, scene.release(1), 49, 0);
    await until(async () => /has had (49|0) of 50/.test((await scene.get(id)).waitsFor ?? ''), { what: 'it to count' });
    expect((await scene.get(id)).state).toBe('soaking');
    west.restart();
    await served(west, scene.release(1), 30, 30); // the first report of a process is where its numbers begin
    await served(west, scene.release(1), 1, 0);
    await until(async () => (await scene.get(id)).wave === 2, { what: 'the second wave' });
    await scene.is(id, 'soaking');
    await served(east, scene.release(1), 1, 0);
    await served(east, scene.release(1), 50, 0);
    await scene.is(id, 'completed');
  });

  it('P4 is rolled back when its release answers 500, and says which gate, which region and which numbers', async () => {
    const root = await scene.root();
    const id = await soaking();
    await served(west, scene.release(1), 1, 0);
    await served(west, scene.release(1), 200, 40);
    const done = await scene.is(id, 'rolled-back');
    expect(done.because).toMatchObject({
      gate: 'errors',
      regions: ['eu-west'],
      finding: { requests: 200, share: 0.2 },
    });
    expect(done.because?.detail).toContain('20.00% of 200 answers of weather:v1 in the wave were errors; ');
    expect([done.wave, await scene.root()]).toEqual([1, root]);
  });

  it('P4 is rolled back when its release is slow, as compared with what served before', async () => {
    const root = await scene.root();
    await served(west, scene.release(0), 1, 0);
    await scene.app.source.query(`UPDATE release_sample SET at = at - interval '2 minutes'`);
    await served(west, scene.release(0), 400, 0);
    const id = await soaking();
    await served(west, scene.release(1), 1, 0);
    west.serve(API, scene.release(1), 200, 0, 900);
    west.report();
    const done = await scene.is(id, 'rolled-back');
    expect(done.because).toMatchObject({ gate: 'latency', finding: { p95Ms: 985 } });
    expect(await scene.root()).toBe(root);
  });
});

describe('a replica without a stream', () => {
  it('P3 tells its numbers with the status that it reports', async () => {
    const id = await soaking();
    west.restart();
    for (const requests of [1, 60]) {
      west.serve(API, scene.release(1), requests, 0);
      await west.reportByHttp(scene.app);
    }
    await until(async () => (await scene.get(id)).wave === 2, { what: 'the second wave' });
  });
});

describe('a wave that takes long', () => {
  it('P3 keeps what its gates need, its start and the minutes before it, and forgets all else', async () => {
    const { source } = scene.app;
    await source.query('DELETE FROM release_sample');
    west.restart();
    for (let n = 0; n < 3; n++) {
      await served(west, scene.release(0), 200, 0);
      await source.query(`UPDATE release_sample SET at = at - interval '2 minutes'`);
    }
    const { id } = await good(
      scene.promote({
        release: scene.release(1),
        strategy: { ...strategy, soak: 7200, gates: { minRequests: 500, p95Factor: 3 } },
      }),
    );
    await scene.is(id, 'soaking');
    for (let n = 0; n < 4; n++) await served(west, scene.release(1), 100, 0);
    await past(id, 300);
    const { numbers, forget } = counted();
    const before = await numbers(id);
    expect(before.map(({ requests }) => requests)).toEqual([300, 400]);
    await forget();
    await forget();
    expect(await numbers(id)).toEqual(before);
    expect(await source.query('SELECT FROM release_sample')).toHaveLength(6); // of two releases since, of one before
    await served(west, scene.release(1), 1, 0); // a day later, as it were
    expect((await numbers(id)).map(({ requests }) => requests)).toEqual([301, 400]);
    await good(scene.act(id, 'abort'));
    await scene.is(id, 'rolled-back');
    await source.query(`UPDATE release_sample SET at = at - interval '2 hours'`);
    await forget();
    expect(await source.query('SELECT FROM release_sample')).toEqual([]);
  });

  it('P3 counts anew when it is resumed: what it was paused for is not held against it', async () => {
    const id = await soaking();
    await served(west, scene.release(1), 1, 0);
    await good(scene.act(id, 'pause', { reason: 'the upstream is being moved' }));
    await served(west, scene.release(1), 500, 500);
    await good(scene.act(id, 'resume'));
    await scene.is(id, 'soaking');
    await waitsFor(id, `${API} has had 0 of 50 requests in this wave, as far as replicas have told (every 5 s)`);
    await served(west, scene.release(1), 1, 0);
    await served(west, scene.release(1), 60, 0);
    await until(async () => (await scene.get(id)).wave === 2, { what: 'the second wave' });
    await good(scene.act(id, 'abort'));
    await scene.is(id, 'rolled-back');
  });

  it('P4 is rolled back for its errors also while a replica of it is waited for', async () => {
    const root = await scene.root();
    const second = await SceneReplica.join(scene.app, 'eu-west');
    second.client.acknowledges = false;
    const { id } = await good(scene.promote({ release: scene.release(1), strategy }));
    await scene.is(id, 'rolling');
    await served(west, scene.release(1), 1, 0);
    await served(west, scene.release(1), 200, 90);
    await until(async () => (await scene.get(id)).state === 'rolling-back', { what: 'the gate', within: 12_000 });
    second.client.acknowledges = true;
    await good(scene.act(id, 'skip'));
    expect((await scene.get(id)).because).toMatchObject({
      gate: 'errors',
      detail: expect.stringMatching(/of 200 answers of .* in the wave were errors.*; a test$/),
    });
    expect(await scene.root()).toBe(root);
    await good(scene.app.call('DELETE', `/v1/replicas/${second.id}`));
  });
});

describe('a release that was rolled back and is tried again', () => {
  it.each([
    ['itself', 1],
    ['another one that was tried there', 2],
  ])('P3 is not compared with %s', async (_, tried) => {
    await scene.app.source.query('DELETE FROM release_sample');
    west.restart();
    for (const wrong of [0, 400]) {
      await served(west, scene.release(tried), 1000, wrong); // what it did before the wave
      await scene.app.source.query(`UPDATE release_sample SET at = at - interval '2 minutes'`);
    }
    const id = await soaking();
    await served(west, scene.release(1), 1, 0);
    await served(west, scene.release(1), 1000, 100);
    const done = await scene.is(id, 'rolled-back');
    expect(done.because).toMatchObject({ gate: 'errors', finding: { share: 0.1, allowed: 0.01 } });
  });
});

describe('numbers of an API that nobody promotes', () => {
  it('are noted down once a minute, and forgotten after an hour', async () => {
    await scene.app.source.query('DELETE FROM release_sample');
    await served(east, scene.release(0), 10, 0);
    for (let n = 0; n < 5; n++) east.report();
    await scene.app.source.query('SELECT pg_sleep(0.3)');
    const count = async (): Promise<number> =>
      (await scene.app.source.query('SELECT count(*)::int AS n FROM release_sample'))[0].n;
    const before = await count();
    expect(before).toBe(
      new Set(
        (await scene.app.source.query('SELECT digest::text AS d FROM release_sample')).map(
          (row: { d: string }) => row.d,
        ),
      ).size,
    );
    await scene.app.source.query(`UPDATE release_sample SET at = at - interval '61 seconds'`);
    await served(east, scene.release(0), 1, 0);
    expect(await count()).toBe(2 * before);
  });
});
