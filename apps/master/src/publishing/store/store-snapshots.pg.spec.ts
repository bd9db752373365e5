import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ArtifactStore, blobName, deltaName, headName, segmentName, snapshotName } from '#artifacts';
import { until } from '#harness';
import { interposed, noAnswer, type PublishingMaster, startPublishing } from '../../testing/publishing-master.js';
import { PublishingScene } from '../../testing/publishing-scene.js';
import { namesOf, segmentOps, StoreReader } from '../../testing/store-reader.js';
import type { StoreRules } from './store-rules.js';

const scene = PublishingScene.forEachTest();
const HOUR = 3_600_000;
/** a snapshot every ten revisions */
const rules: StoreRules = { snapshotBytes: 1e9, snapshotRevisions: 10, keepMs: HOUR, collectMs: HOUR, passBytes: 1e9 };
const start = (store: ArtifactStore = scene.store, more: Partial<StoreRules> = {}): Promise<PublishingMaster> =>
  scene.start(store, { storeRules: { ...rules, ...more } });

/** Waits until the head is at the newest revision, and names a snapshot of at least `revision`. */
async function snapshotOf(revision: number): Promise<number> {
  const what = `a snapshot of revision ${revision}`;
  return until(
    async () => {
      const head = await new StoreReader(scene.store).head();
      const named = head.snapshot?.revision ?? 0;
      return head.revision === (await scene.revision()) && named >= revision && named;
    },
    { what, within: 60_000 },
  );
}

/** Waits until the head is at the newest revision; deltas that a snapshot stands for may be gone. */
async function headed(): Promise<void> {
  const arrived = async (): Promise<boolean> =>
    (await new StoreReader(scene.store).head()).revision === (await scene.revision());
  await until(arrived, { what: 'the head of the newest revision' });
}

/** Makes so many keys of one application, in one revision. */
async function keys(count: number): Promise<void> {
  await scene.writer.write(async (tx) => {
    const application = await tx.application('one');
    for (let i = 0; i < count; i++) await tx.key('prod', application);
  });
  await scene.drained();
}

/** A release of 100 KB, and its place. */
async function large(name: string): Promise<void> {
  const api = await scene.writer.api(name);
  const digest = await scene.writer.release(api, { note: 'x'.repeat(100_000) });
  await scene.writer.write((tx) => tx.place('prod', api, 'eu', digest));
  await scene.drained();
}

async function whole(): Promise<StoreReader> {
  const reader = new StoreReader(scene.store);
  await reader.follow(await reader.head());
  return reader;
}

describe('snapshots', () => {
  it('R2 are of one revision, while others are published, and give the state root of the head', async () => {
    await start();
    await keys(60);
    await scene.publish(25);
    expect(await snapshotOf(20)).toBeLessThanOrEqual(26);
    const { rows } = await scene.pool.query<{ count: string }>('SELECT count(*) FROM published_entry');
    expect((await whole()).values.size).toBe(Number(rows[0]?.count));
  });

  it('are made when the deltas have more bytes than the last one, and share the blobs that did not change', async () => {
    await start(scene.store, { snapshotBytes: 20_000, snapshotRevisions: 1e9 });
    await large('weather');
    const first = await snapshotOf(1);
    const blobs = await namesOf(scene.store, 'blob');
    await scene.publish(3); // far less than the snapshot; of the bucket that it changes there is another blob then
    await headed();
    expect(await namesOf(scene.store, 'snapshot')).toEqual([snapshotName('prod', first)]);
    await scene.publish(1);
    await large('radio');
    await large('clock');
    await snapshotOf(first + 1);
    const after = await namesOf(scene.store, 'blob');
    expect(blobs.length).toBeGreaterThan(0);
    expect(after).toEqual(expect.arrayContaining(blobs));
    await whole();
  });

  it('of a state that is not held in memory at once are made in several passes', async () => {
    await start(scene.store, { passBytes: 500 });
    await keys(60);
    await scene.publish(12);
    await snapshotOf(10);
    const { rows } = await scene.pool.query<{ count: string }>('SELECT count(*) FROM published_entry');
    expect((await whole()).values.size).toBe(Number(rows[0]?.count));
  });

  it('are made again when a leader of before removes one of their blobs before a head names them', async () => {
    let removed = 0;
    const store: ArtifactStore = {
      ...interposed(scene.store, (_call, run) => run()),
      create: async (name, bytes, signal) => {
        if (name.includes('/snapshot/') && removed++ === 0)
          rmSync(join(scene.directory, (await namesOf(scene.store, 'blob'))[0] ?? ''));
        return scene.store.create(name, bytes, signal);
      },
    };
    await start(store);
    await keys(20);
    await scene.publish(12);
    await snapshotOf(10);
    expect(removed).toBeGreaterThan(1);
    await whole();
  });

  it('hold up no head while they are made', async () => {
    let stuck = true;
    const slow = interposed(scene.store, async (call, run, signal) => {
      if (stuck && call === 'create' && building) return noAnswer(signal);
      return run();
    });
    let building = false;
    const named = interposed(slow, (_call, run) => run());
    const watched: ArtifactStore = {
      ...named,
      create: (name, bytes, signal) => {
        building = name.includes('/blob/');
        return slow.create(name, bytes, signal);
      },
    };
    await start(watched);
    await scene.publish(12);
    await headed();
    await scene.publish(3);
    await headed();
    expect((await new StoreReader(scene.store).head()).snapshot).toBeNull();
    stuck = false;
  });

  it('are remembered by the next term, and made again with the same bytes when they are asked for again', async () => {
    const master = await start();
    await scene.publish(10);
    const revision = await snapshotOf(10);
    await master.stop();
    const path = join(scene.directory, snapshotName('prod', revision));
    const before = readFileSync(path);
    rmSync(path);
    rmSync(join(scene.directory, 'prod', 'blob'), { recursive: true, maxRetries: 10 });
    const next = await start(scene.store, { collectMs: 200 });
    const lacking = 'the newest snapshot in the artifact store lacks something; another one is made';
    await until(() => next.complaints.some(({ msg }) => msg === lacking), { what: 'it to be noticed' });
    await until(() => readdirSync(join(scene.directory, 'prod', 'snapshot')).length > 0, { what: 'another one' });
    expect(readFileSync(path).equals(before)).toBe(true);
    await whole();
  });
});

describe('segments', () => {
  it('are written when their range is complete, and say what the last of its deltas say', async () => {
    await start();
    await scene.publish(129);
    await headed();
    await until(async () => (await namesOf(scene.store, 'segment/1')).length === 2, { what: 'two segments' });
    expect(await namesOf(scene.store, 'segment/1')).toEqual([segmentName('prod', 1, 0), segmentName('prod', 1, 1)]);
    const ops = await segmentOps(scene.store, 1, 1);
    expect(ops).toHaveLength(1); // one plan, written 64 times
    expect(JSON.parse(ops[0]?.value?.toString() ?? '')).toMatchObject({ rate: { limit: 128 } });
  });

  it('that are damaged or gone are made again, byte by byte, when the store is checked', async () => {
    const master = await start();
    await scene.publish(66);
    await headed();
    const path = join(scene.directory, segmentName('prod', 1, 0));
    await until(async () => (await namesOf(scene.store, 'segment/1')).length === 1, { what: 'the segment' });
    const before = readFileSync(path);
    await master.stop();
    writeFileSync(path, before.subarray(1));
    writeFileSync(join(scene.directory, headName('prod')), 'damaged');
    await start();
    await until(() => readFileSync(path).equals(before), { what: 'it to be mended' });
  });
});

describe('an emptied store', () => {
  it('begins with a snapshot when the chain is long, so that a replica with nothing can start', async () => {
    const master = await start();
    await scene.publish(25);
    await snapshotOf(20);
    await master.stop();
    rmSync(join(scene.directory, 'prod'), { recursive: true, maxRetries: 10 });
    await start();
    await snapshotOf(25);
    await whole();
    await scene.publish(2);
    await until(async () => (await new StoreReader(scene.store).head()).revision === 27, { what: 'the new revisions' });
    await whole();
    // what the snapshot stands for is not written again
    expect(await namesOf(scene.store, 'delta')).toEqual([deltaName('prod', 26), deltaName('prod', 27)]);
  });
});

describe('R8 a master that crashes while it writes a snapshot', () => {
  it.each([1, 2, 5])('in its call %i for it leaves a store that the next one completes', async (at) => {
    let calls = 0;
    const crashes: Promise<void>[] = [];
    const dying: ArtifactStore = {
      ...interposed(scene.store, (_call, run) => run()),
      create: async (name, bytes, signal) => {
        if (/blob|snapshot/.test(name) && ++calls >= at) {
          if (crashes.length === 0) crashes.push(doomed.crash());
          return noAnswer(signal);
        }
        return scene.store.create(name, bytes, signal);
      },
    };
    const doomed = await startPublishing(scene.database.url, dying, { storeRules: rules });
    await scene.publish(9);
    await keys(20);
    await until(() => crashes.length, { what: 'the crash' });
    await Promise.all(crashes);
    const reader = new StoreReader(scene.store);
    expect((await reader.head()).snapshot).toBeNull();
    await reader.follow(await reader.head());
    await start();
    await snapshotOf(10);
    await whole();
  });
});

describe('garbage collection', () => {
  const age = async (): Promise<void> => {
    await scene.pool.query(`UPDATE store_snapshot SET announced_at = announced_at - interval '2 hours'`);
  };

  it('keeps all that a head of the last hour promised: a reader that pauses in the middle finishes', async () => {
    await start(scene.store, { collectMs: 100 });
    await keys(40);
    await scene.publish(10);
    await snapshotOf(10);
    const reader = new StoreReader(scene.store);
    let paused = false;
    await reader.follow(await reader.head(), async () => {
      if (paused) return;
      paused = true;
      for (let snapshots = 0; snapshots < 4; snapshots++) {
        await keys(5);
        await scene.publish(10);
        await snapshotOf((await scene.revision()) - 10);
      }
    });
    expect(paused).toBe(true);
    expect((await namesOf(scene.store, 'snapshot')).length).toBeGreaterThanOrEqual(4);
  });

  it('removes what is older and what nobody names, keeps two snapshots, and a refill does not bring it back', async () => {
    const master = await start(scene.store, { collectMs: 100 });
    await keys(40);
    for (let snapshots = 0; snapshots < 4; snapshots++) {
      await scene.publish(10);
      await snapshotOf(10 * (snapshots + 1));
    }
    const stray = blobName('prod', 'ab'.repeat(32));
    await scene.store.create(stray, Buffer.from('of a snapshot that was never finished'));
    await age();
    const few = async (): Promise<boolean> =>
      (await namesOf(scene.store, 'snapshot')).length === 2 && (await scene.store.size(stray)) === null;
    await until(few, { what: 'the garbage to go', within: 60_000 });
    const [older] = await namesOf(scene.store, 'snapshot');
    const floor = Number(older?.slice(-12));
    expect((await namesOf(scene.store, 'delta'))[0]).toBe(deltaName('prod', floor + 1));
    await whole();
    await master.stop();

    writeFileSync(join(scene.directory, headName('prod')), 'damaged');
    await start();
    await snapshotOf(floor);
    expect((await namesOf(scene.store, 'delta'))[0]).toBe(deltaName('prod', floor + 1));
    await whole();
  });

  it('is taken up again after it stopped anywhere, and the store is whole in between', async () => {
    const first = await start();
    await keys(20);
    for (let snapshots = 0; snapshots < 4; snapshots++) {
      await scene.publish(10);
      await snapshotOf(10 * (snapshots + 1));
    }
    await first.stop();
    await age();
    let deletes = 0;
    const dying = interposed(scene.store, (call, run, signal) =>
      call === 'delete' && ++deletes > 7 ? noAnswer(signal) : run(),
    );
    const doomed = await startPublishing(scene.database.url, dying, { storeRules: rules });
    await until(() => deletes > 7, { what: 'the collection to be stuck' });
    await whole();
    await doomed.crash();
    await start(scene.store, { collectMs: 100 });
    await until(async () => (await namesOf(scene.store, 'snapshot')).length === 2, { what: 'the garbage to go' });
    await whole();
  });
});
