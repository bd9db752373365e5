import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { deltaName, GENESIS_HASH, headName, LIMITS, releaseName, StoreError } from '#artifacts';
import { until } from '#harness';
import {
  interposed,
  noAnswer,
  type PublishingMaster,
  signer,
  startPublishing,
} from '../../testing/publishing-master.js';
import { PublishingScene } from '../../testing/publishing-scene.js';
import { auditStore } from '../../testing/store-audit.js';
import type { StoreStanding } from './store-standing.js';

const CLOCKS = ['Date', 'performance', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] as const;

const scene = PublishingScene.forEachTest();
const standing = (master: PublishingMaster): StoreStanding | null | undefined =>
  master.publishers.standing('prod')?.store;
/** The store shows a head a moment before its writer knows that it has written it, and waits for the next reason to. */
const rests = (master: PublishingMaster, revision: number): Promise<unknown> =>
  until(() => standing(master)?.state === 'ok' && standing(master)?.revision === revision, {
    what: 'its writer to rest',
  });

describe('the store', () => {
  it('has a head before there is any revision', async () => {
    await scene.start();
    await scene.stored();
    expect(await auditStore(scene.store, scene.pool)).toMatchObject({
      revision: 0,
      epoch: 1,
      hash: GENESIS_HASH.toString('hex'),
    });
  });

  it('gets every revision, and its head the epoch of the term', async () => {
    const master = await scene.start();
    await scene.publish(3);
    await scene.stored();
    await master.stop();
    const next = await scene.start();
    await next.leads('prod');
    await until(async () => (await auditStore(scene.store, scene.pool)).epoch === 2, {
      what: 'the head of the new term',
    });
    expect((await auditStore(scene.store, scene.pool)).revision).toBe(3);
  });

  it('gets each release as people read it, signed, before the head that carries it', async () => {
    await scene.start();
    const api = await scene.writer.api('weather');
    const digest = await scene.writer.release(api, { note: 'sunny' });
    await scene.writer.write((tx) => tx.place('prod', api, 'eu', digest));
    await until(async () => (await auditStore(scene.store, scene.pool)).revision === 1, { what: 'the head' });
    const object = await scene.store.get(
      releaseName('prod', 'weather', 'v1', digest.toString('hex')),
      LIMITS.valueBytes,
    );
    const text = object?.bytes.toString() ?? '';
    expect(text).toContain('\n  "definition": {\n    "name": "weather"');
    expect(JSON.parse(text)).toMatchObject({
      environment: 'prod',
      digest: digest.toString('hex'),
      createdBy: 'ann',
      revision: 1,
      keyId: signer.keyId.toString('hex'),
      signature: expect.stringMatching(/^[0-9a-f]{128}$/),
    });
  });

  it('signs the head again after 30 seconds in which nothing is published', async () => {
    vi.useFakeTimers({ toFake: [...CLOCKS] });
    try {
      const master = await scene.start();
      await scene.stored();
      await rests(master, 0);
      const before = await auditStore(scene.store, scene.pool);
      vi.advanceTimersByTime(29_000);
      vi.advanceTimersByTime(2_000);
      await until(async () => (await auditStore(scene.store, scene.pool)).issuedAt >= before.issuedAt + 30_000, {
        what: 'a younger head',
      });
      const after = await auditStore(scene.store, scene.pool);
      expect(after).toEqual({ ...before, issuedAt: after.issuedAt, expiresAt: after.issuedAt + 90_000 });
    } finally {
      vi.useRealTimers();
    }
  });

  it('signs the head again in time when the clock was set back, and none looks older than the one before', async () => {
    vi.useFakeTimers({ toFake: [...CLOCKS] });
    try {
      const master = await scene.start();
      await scene.stored();
      await rests(master, 0);
      const before = await auditStore(scene.store, scene.pool);
      vi.setSystemTime(Date.now() - 3_600_000);
      vi.advanceTimersByTime(31_000);
      await until(async () => (await auditStore(scene.store, scene.pool)).issuedAt !== before.issuedAt, {
        what: 'the head to be signed again',
      });
      const again = await auditStore(scene.store, scene.pool);
      expect(again.issuedAt).toBeGreaterThan(before.issuedAt);
      const stopping = master.stop();
      await until(() => vi.advanceTimersByTime(10) && !master.publishers.standing('prod')?.leader, { what: 'its end' });
      await stopping;
      await scene.start();
      // should its lock not be free at once, it asks again after a while
      const isNext = async (): Promise<boolean> => (await auditStore(scene.store, scene.pool)).epoch === 2;
      await until(() => vi.advanceTimersByTime(10) && isNext(), { what: 'the next term' });
      expect((await auditStore(scene.store, scene.pool)).issuedAt).toBeGreaterThan(again.issuedAt);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('a store that does not answer', () => {
  it('holds up no revision, and has them all when it is back', async () => {
    const master = await scene.start();
    await scene.publish(2);
    await scene.stored();
    renameSync(scene.directory, `${scene.directory}.away`);
    await scene.publish(3);
    expect(await scene.revision()).toBe(5);
    await until(() => standing(master)?.state === 'failing', { what: 'it to be noticed' });
    expect(standing(master)).toMatchObject({ revision: 2, error: expect.stringContaining('does not exist') });
    renameSync(`${scene.directory}.away`, scene.directory);
    await scene.stored();
    await rests(master, 5);
    expect(standing(master)).toMatchObject({ state: 'ok', revision: 5, error: null });
    expect(
      master.complaints.filter(({ msg }) => msg.includes('falls behind')),
      'it is said once',
    ).toHaveLength(1);
  });

  it('may be read-only for a while', async () => {
    let readOnly = true;
    const guarded = interposed(scene.store, (call, run) =>
      readOnly && !['get', 'size', 'list'].includes(call)
        ? Promise.reject(new StoreError('store_denied', 'read-only'))
        : run(),
    );
    const master = await scene.start(guarded);
    await scene.publish(2);
    await until(() => standing(master)?.state === 'failing', { what: 'it to be noticed' });
    readOnly = false;
    await scene.stored();
  });

  it('is given up after two seconds by a master that stops', async () => {
    const hanging = interposed(scene.store, (_call, _run, signal) => noAnswer(signal));
    const master = await startPublishing(scene.database.url, hanging);
    await scene.publish(1);
    await master.stop();
    expect(await scene.revision()).toBe(1);
  });
});

describe('a store that lost something', () => {
  it('is filled again when it was emptied, without being asked', async () => {
    await scene.start();
    await scene.publish(3);
    await scene.stored();
    for (const name of readdirSync(scene.directory))
      rmSync(join(scene.directory, name), { recursive: true, maxRetries: 10 });
    await scene.publish(1); // or up to 30 seconds later, when the head is due
    await scene.stored();
  });

  it('is filled again when it was emptied while no master ran', async () => {
    const master = await scene.start();
    await scene.publish(3);
    await scene.stored();
    await master.stop();
    rmSync(join(scene.directory, 'prod'), { recursive: true, maxRetries: 10 });
    await scene.start();
    await scene.stored();
  });

  it('is checked from the first revision on when an old head was put back, and mended', async () => {
    const master = await scene.start();
    await scene.publish(1);
    await scene.stored();
    const old = readFileSync(join(scene.directory, headName('prod')));
    await scene.publish(3);
    await scene.stored();
    await master.stop();
    writeFileSync(join(scene.directory, headName('prod')), old);
    rmSync(join(scene.directory, deltaName('prod', 1)));
    writeFileSync(join(scene.directory, deltaName('prod', 3)), 'not what it was');
    const next = await scene.start();
    await scene.stored();
    expect(next.complaints.map(({ msg }) => msg)).toContain('a damaged object of the artifact store is replaced');
  });

  it('keeps an old head until it has more than that one names', async () => {
    const master = await scene.start();
    await scene.publish(80);
    await scene.stored();
    const old = readFileSync(join(scene.directory, headName('prod')));
    await scene.publish(10);
    await scene.stored();
    await master.stop();
    writeFileSync(join(scene.directory, headName('prod')), old);
    rmSync(join(scene.directory, deltaName('prod', 85)));
    const heads: number[] = [];
    const watched = interposed(scene.store, async (call, run) => {
      const result = await run();
      if (call === 'replace') heads.push((await auditStore(scene.store, scene.pool)).revision);
      return result;
    });
    await scene.start(watched);
    await scene.stored();
    await until(() => heads.length, { what: 'the head to be audited' });
    expect(heads).toEqual([90]);
  });

  it('gets a new head when that is not one any more', async () => {
    const master = await scene.start();
    await scene.publish(2);
    await scene.stored();
    await master.stop();
    for (const damaged of [
      '',
      '{"format":1',
      readFileSync(join(scene.directory, headName('prod')), 'utf8').replace('"revision":2', '"revision":1'),
      ' '.repeat(10_000),
    ]) {
      writeFileSync(join(scene.directory, headName('prod')), damaged);
      const next = await startPublishing(scene.database.url, scene.store);
      await scene.stored();
      await next.stop();
      expect(next.complaints.map(({ msg }) => msg)).toContain(
        'the head of the artifact store is damaged, and is written anew',
      );
    }
  });
});
