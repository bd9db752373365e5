import { execFileSync } from 'node:child_process';
import { expect, it, onTestFinished, vi } from 'vitest';
import { smallDisk } from '#artifacts/testing';
import { until } from '#harness';
import { createLog } from '#platform';
import type { Bucket } from '#throttle';
import { KeptCounts } from './kept-counts.js';
import { RegionCounters } from './region-counters.js';

const month = (name: string): Bucket => ({ kind: 'quota', name, limit: { limit: 10, per: 'month' } });

function begin(directory: string) {
  const log = createLog('test', 'silent');
  const told = { error: vi.spyOn(log, 'error'), info: vi.spyOn(log, 'info') };
  const counters = new RegionCounters({ environment: 'test', region: 'eu', redis: null, workers: () => 1, log });
  onTestFinished(() => counters.stop());
  counters.start(() => KeptCounts.open(directory));
  const take = async (name: string, need: number) =>
    (await counters.take(month(name), { need, ahead: 0, held: 0, lease: 0 })).granted;
  return { counters, take, told };
}

it('T4 a disk that is full: counting goes on, one line says so, and all is kept when there is room again', async (context) => {
  const directory = smallDisk(context, '256k');
  const { counters, take, told } = begin(directory);
  expect(await take('first', 4)).toBe(4);
  for (let i = 0; i < 5000; i++) expect(await take(`s:${i}`, 4)).toBe(4);
  await until(() => told.error.mock.calls.length > 0, { what: 'the disk to be full' });
  expect(told.error.mock.calls[0]?.[1]).toContain('cannot be written to the disk');
  expect(await take('first', 4)).toBe(4);
  expect(await take('s:4999', 4)).toBe(4);
  execFileSync('mount', ['-o', 'remount,size=64m', directory]);
  await until(() => told.info.mock.calls.some((call) => `${call[0]}`.includes('are kept on the disk again')), {
    what: 'the counts to be kept again',
  });
  expect(told.error).toHaveBeenCalledTimes(1);
  await counters.stop();

  const again = begin(directory);
  expect(await again.take('first', 10)).toBe(2);
  expect(await again.take('s:4999', 10)).toBe(2);
  expect(await again.take('s:17', 10)).toBe(6);
});
