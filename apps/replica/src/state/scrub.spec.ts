import { afterEach, beforeEach, expect, it } from 'vitest';
import { StateRoot } from '#artifacts';
import type { Op } from '#model';
import { gone, keyOp } from '../testing/sample-ops.js';
import { spoil, StateFixture } from '../testing/state-fixture.js';
import { differingSums } from './scrub.js';
import { StateStore } from './state-store.js';

let f: StateFixture;
beforeEach(() => {
  f = new StateFixture();
});
afterEach(() => f.end());

const keys = (count: number): Op[] => Array.from({ length: count }, (_, i) => keyOp(`k${i}`));

/** One whole pass, in the smallest parts, with revisions between them. @returns the buckets, and how many parts there were */
async function pass(between: (part: number) => Promise<void> = () => Promise.resolve()): Promise<[number[], number]> {
  let parts = 1;
  const found = await f.store.scrub(0, async () => {
    await between(parts++);
    return true;
  });
  return [found as number[], parts];
}

it('a pass goes in parts, and finds nothing in a state that changes meanwhile', async () => {
  await f.apply(...keys(1000));
  const [found, parts] = await pass((part) => f.apply(keyOp(`k${part}`, true), gone(keyOp(`k${999 - part}`))));
  expect(found).toEqual([]);
  expect(parts).toBeGreaterThan(10);
  expect(await f.store.scrub(0, () => Promise.resolve(false))).toBeNull();
  await f.apply(keyOp('k0'));
  expect((await pass())[0]).toEqual([]);
});

it('finds what was changed, added or taken away behind the back of the sums, and what was mended not any more', async () => {
  await f.apply(...keys(1000));
  await f.store.close();
  const ops = [keyOp('k3', true), gone(keyOp('k5')), keyOp('from nowhere')];
  await spoil(f.directory, ...ops);
  f.store = StateStore.open(f.directory, 'prod');
  const [found] = await pass();
  expect(found).toHaveLength(3);
  const changed = StateRoot.empty();
  for (const { key, table, value } of ops) changed.change(table, key, null, value ?? Buffer.alloc(1));
  expect(found).toEqual(differingSums(changed, StateRoot.empty()));
  expect(await f.store.findDamage()).toEqual(found);
  await f.store.close();
  await spoil(f.directory, keyOp('k3'), keyOp('k5'), gone(keyOp('from nowhere')));
  f.store = StateStore.open(f.directory, 'prod');
  expect((await pass())[0]).toEqual([]);
});
