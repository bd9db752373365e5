import { describe, expect, it } from 'vitest';
import { type ArtifactStore, headName, LIMITS, releaseName } from '#artifacts';
import { until } from '#harness';
import { interposed, noAnswer, type PublishingMaster, startPublishing } from '../../testing/publishing-master.js';
import { PublishingScene } from '../../testing/publishing-scene.js';
import { auditStore } from '../../testing/store-audit.js';

const scene = PublishingScene.forEachTest();

describe('R8 a master that crashes', () => {
  const READS: string[] = ['get', 'size', 'list'];

  /** A store in whose n-th writing call the master crashes, before or after it happened. */
  function crashing(at: number, when: 'before' | 'after', crash: () => void): ArtifactStore {
    let calls = 0;
    return interposed(scene.store, async (call, run, signal) => {
      if (READS.includes(call)) return run();
      const fatal = ++calls === at;
      if (fatal && when === 'before') crash();
      if (calls > at || (fatal && when === 'before')) return noAnswer(signal);
      const result = await run();
      if (!fatal) return result;
      crash();
      return noAnswer(signal);
    });
  }

  const points = [1, 2, 3, 4].flatMap((at) => (['before', 'after'] as const).map((when) => [at, when] as const));
  it.each(points)(
    'in its writing call %i of the scene.store, %s it happened, leaves a store that the next one completes',
    async (at, when) => {
      const crashes: Promise<void>[] = [];
      const doomed: PublishingMaster = await startPublishing(
        scene.database.url,
        crashing(at, when, () => {
          crashes.push(doomed.crash());
        }),
      );
      const api = await scene.writer.api('weather');
      const digest = await scene.writer.release(api);
      // the head of the term: later it would be one and the same with the head of the first revision
      await until(async () => crashes.length > 0 || (await scene.store.size(headName('prod'))) !== null, {
        what: 'the first head',
      });
      await scene.writer.write((tx) => tx.place('prod', api, 'eu', digest)); // head, delta, release, head
      await until(() => crashes.length, { what: 'the crash' });
      await Promise.all(crashes);
      const head = await scene.store.get(headName('prod'), LIMITS.headBytes);
      if (head) await auditStore(scene.store, scene.pool); // whatever there is, is whole
      await scene.writer.write((tx) => tx.plan('prod', 'gold', 1));
      await scene.start();
      await until(async () => (await scene.pool.query('SELECT FROM outbox')).rowCount === 0, {
        what: 'both writes to be published',
      });
      await scene.stored();
      expect(
        await scene.store.get(releaseName('prod', 'weather', 'v1', digest.toString('hex')), LIMITS.valueBytes),
      ).not.toBeNull();
    },
  );
});
