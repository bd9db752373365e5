import { describe, expect, it } from 'vitest';
import { ServedPosition } from './served-position.js';
import type { StoredPosition } from './state-layout.js';

const at = (revision: number): StoredPosition => ({
  environment: 'prod',
  epoch: 1,
  revision,
  hash: String(revision).padStart(64, '0'),
  root: 'ab'.repeat(32),
  issuedAt: 1,
  appliedAt: 2,
  firstDelta: 1,
  deltaBytes: 0,
  repairs: 0,
});

describe('what is served', () => {
  it('is the newest position that every worker has reached, and says when that is news', () => {
    const served = new ServedPosition(at(3));
    served.applied(at(5));
    served.applied(at(9));
    expect([served.loaded(3), served.position.revision]).toEqual([false, 3]);
    expect([served.loaded(8), served.position.hash]).toEqual([true, at(5).hash]);
    expect([served.loaded(9), served.position.revision]).toEqual([true, 9]);
    expect(served.loaded(9)).toBe(false);
  });

  it('is what was applied while there is no worker, and does not go back when one starts with less', () => {
    const served = new ServedPosition(at(0));
    served.applied(at(1));
    expect([served.loaded(Number.POSITIVE_INFINITY), served.position.revision]).toEqual([true, 1]);
    expect([served.loaded(0), served.position.revision]).toEqual([false, 1]);
  });

  it('remembers a bounded number of positions for a worker that stands still, and is right when it goes on', () => {
    const served = new ServedPosition(at(0));
    for (let revision = 1; revision <= 1000; revision++) served.applied(at(revision));
    expect(served.loaded(500)).toBe(true);
    expect(served.position.revision).toBeGreaterThan(0);
    expect(served.position.revision).toBeLessThanOrEqual(500);
    expect([served.loaded(1001), served.position.revision]).toEqual([true, 1000]);
  });

  it('goes on with a worker during whose every load many revisions are applied', () => {
    const served = new ServedPosition(at(0));
    for (let load = 0, newest = 0; load < 100; load++) {
      const loads = newest;
      for (let more = 0; more < 65; more++) served.applied(at(++newest));
      served.loaded(loads);
      expect(served.position.revision).toBeGreaterThanOrEqual(loads - 130);
    }
  });
});
