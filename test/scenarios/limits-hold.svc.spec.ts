import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, readExposition, until } from '#harness';
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

  /** Questions for tokens that nodes have answered by themselves: on a machine that stands still, Redis may be silent for too long. */
  const alone = async (): Promise<number> => {
    let sum = 0;
    for (const { admin } of rig.nodes) {
      const takes = readExposition(await (await fetch(`${admin}/metrics`)).text()).get(
        'heliograph_throttle_takes_total',
      );
      for (const [name, value] of takes?.samples ?? []) if (name.includes('result="local"')) sum += value;
    }
    return sum;
  };

  it('T1 no window admits more than the rate', async () => {
    const consumer = await rig.consumer('steady');
    const before = await alone();
    consumer.begin(CLIENTS);
    await consumer.served(800, 429);
    await consumer.end();
    expect(consumer.wrong).toEqual([]);
    const admitted = consumer.passed().map((passed) => passed.admitted);
    expect(admitted.length).toBeGreaterThan(RATE.burst);
    const { perSecond, burst } = RATE;
    // a share of a node that counted alone comes on top
    const shares = (await alone()) > before ? burst + perSecond / 2 : 0;
    expect(overshoot(admitted, { perSecond, burst: burst + shares + (perSecond * LATE_MS) / 1000 })).toBe(0);
  });

  it('T1 a quota is admitted to the last request, and none more', async () => {
    const consumer = await rig.consumer('daily');
    const before = await alone();
    consumer.begin(CLIENTS);
    await until(() => consumer.passed().length >= QUOTA, { what: 'the whole quota to be used' });
    await consumer.served(100, 429);
    await consumer.end();
    expect(consumer.wrong).toEqual([]);
    if ((await alone()) === before) expect(consumer.passed()).toHaveLength(QUOTA);
    else expect(consumer.passed().length).toBeLessThan(2 * QUOTA);
  });
});
