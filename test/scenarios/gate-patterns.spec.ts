import { describe, expect, it } from 'vitest';
import { randomFrom, trials } from '../../bench/promotion/gate-trial.js';

describe('1,000 random patterns of traffic', () => {
  // `npm run bench -- gates` tells the kinds apart
  it('P3 lead to few false rollbacks of 500 releases that are no worse, and hardly a pass of 500 that are', () => {
    const all = [...trials(1000, randomFrom(1))];
    const kindsOf = (good: boolean, outcome: string): string[] =>
      all.filter((one) => one.good === good && one.outcome === outcome).map(({ kind }) => kind);
    expect(all).toHaveLength(1000);
    expect(kindsOf(true, 'failed').length, kindsOf(true, 'failed').join()).toBeLessThanOrEqual(5);
    expect(kindsOf(false, 'passes').length, kindsOf(false, 'passes').join()).toBeLessThanOrEqual(2);
    // what waits for ever has hardly any traffic, or an upstream that fails in the region and did before
    expect(kindsOf(true, 'waits').length).toBeLessThanOrEqual(25);
  });
});
