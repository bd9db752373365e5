import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, until } from '#harness';
import { overshoot } from '../../bench/throttle/admitted.js';
import { LimitsRig, QUOTA, RATE } from './limits-rig.js';

const WORKERS = 4;
/** At each of the two nodes. */
const CLIENTS = 32;
/** A request that waited for its token is served that much later than it was counted: see docs/limits.md. */
const LATE_MS = 250;

describeWith('redis', 'a region of two nodes with four gateway workers each, 64 clients and one Redis', () => {
  let rig: LimitsRig;
  beforeAll(async () => {
    rig = await LimitsRig.start(WORKERS, true);
  });
  afterAll(() => rig?.stop());

  it('T1 no window admits more than the rate', async () => {
    const consumer = await rig.consumer('steady');
    consumer.begin(CLIENTS);
    await consumer.served(800, 429);
    await consumer.end();
    expect(consumer.wrong).toEqual([]);
    const admitted = consumer.passed().map((passed) => passed.admitted);
    expect(admitted.length).toBeGreaterThan(RATE.burst);
    const { perSecond, burst } = RATE;
    expect(overshoot(admitted, { perSecond, burst: burst + (perSecond * LATE_MS) / 1000 })).toBe(0);
  });

  it('T1 a quota is admitted to the last request, and none more', async () => {
    const consumer = await rig.consumer('daily');
    consumer.begin(CLIENTS);
    await until(() => consumer.passed().length >= QUOTA, { what: 'the whole quota to be used' });
    await consumer.served(100, 429);
    await consumer.end();
    expect(consumer.wrong).toEqual([]);
    expect(consumer.passed()).toHaveLength(QUOTA);
  });
});
