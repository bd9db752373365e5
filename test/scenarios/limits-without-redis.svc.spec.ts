import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LEASE_MS } from '#throttle';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, until } from '#harness';
import { monotonicMicros, overshoot } from '../../bench/throttle/admitted.js';
import { BURSTY, type Consumer, LimitsRig, type Passed, QUOTA, RATE, statusOf } from './limits-rig.js';

type Limit = typeof RATE;
const SHARE: Limit = { perSecond: RATE.perSecond / 2, burst: RATE.burst / 2 };
/** A request that waited for its token is served that much later than it was counted: see docs/limits.md. */
const LATE_MS = 250;
const withLate = ({ perSecond, burst }: Limit): Limit => ({ perSecond, burst: burst + (perSecond * LATE_MS) / 1000 });
/**
 * While some nodes have noticed that Redis is gone, or is back, and others have not yet, the shares of the former come on top,
 * once each time: see docs/limits.md.
 */
const apart = ({ perSecond, burst }: Limit): Limit => ({ perSecond, burst: 2 * burst + perSecond / 2 });
/** At each node: together they ask for far more than the limit. */
const CLIENTS = 6;

/** What the first of two nodes does not know of when Redis forgets it: see docs/adr/0019-counters-of-a-region.md. */
const UNSEEN = 1;

const times = (passed: readonly Passed[]) => passed.map(({ admitted }) => admitted);

describeWith('redis', 'limits of a region whose Redis is at fault', () => {
  let rig: LimitsRig;

  beforeAll(async () => {
    rig = await LimitsRig.start();
  });
  afterAll(() => rig?.stop());

  /** Under load: as it should be, then with the fault, then well again. @returns who asked, and when it counted alone */
  const through = async (fault: () => Promise<void>, mend: () => Promise<void>) => {
    const consumer = await rig.consumer('steady');
    consumer.begin(CLIENTS);
    await consumer.served(30, 429);
    await fault();
    await rig.counting('local');
    const from = monotonicMicros();
    await consumer.served(40, 429);
    await consumer.served(10, 200);
    const to = monotonicMicros();
    await mend();
    await rig.counting('shared');
    await consumer.served(40, 429);
    await consumer.end();
    return { consumer, alone: { from, to } };
  };

  const FAULTS: [string, () => Promise<void>, () => Promise<void>][] = [
    [
      'is killed',
      () => rig.redis.kill(),
      async () => {
        await rig.redis.again();
        rig.link.lead(rig.redis.port);
      },
    ],
    ['stands still', () => rig.redis.pause(), async () => rig.redis.resume()],
    ['is cut off', async () => rig.link.cut(), async () => rig.link.heal()],
    [
      'is full',
      async () => void (await rig.redis.command('CONFIG', 'SET', 'maxmemory', '1')),
      async () => void (await rig.redis.command('CONFIG', 'SET', 'maxmemory', '0')),
    ],
  ];

  it.each(FAULTS)(
    'T4 T1 when it %s every request is answered, and each node admits its share at most',
    async (_, fault, mend) => {
      const { consumer, alone } = await through(fault, mend);
      expect(consumer.wrong).toEqual([]);
      for (const index of rig.nodes.keys()) {
        const own = consumer.passed(alone.from, alone.to).filter(({ node }) => node === index);
        expect(own.length).toBeGreaterThan(0);
        expect(overshoot(times(own), withLate(SHARE))).toBe(0);
      }
      expect(overshoot(times(consumer.passed()), apart(RATE))).toBe(0);
    },
  );

  it('T4 T1 when it takes 10 to 30 ms every request is answered, and no window admits more than limit and shares', async () => {
    rig.link.slow(() => 10 + 20 * Math.random());
    const consumer = await rig.consumer('steady');
    consumer.begin(CLIENTS);
    await consumer.served(200);
    await consumer.end();
    rig.link.slow(null);
    expect(consumer.wrong).toEqual([]);
    // that link is in this very process: on a machine that is busy enough it is silent for 250 ms now and then
    expect(overshoot(times(consumer.passed()), apart(RATE))).toBe(0);
    await rig.counting('shared');
  });

  it('T4 T1 when it is emptied again and again nobody has the burst again', async () => {
    const consumer = await rig.consumer('bursty');
    consumer.begin(CLIENTS);
    for (let i = 0; i < 8; i++) {
      await consumer.served(20, 429);
      await rig.redis.command('FLUSHALL');
    }
    await consumer.served(20, 429);
    await consumer.end();
    expect(consumer.wrong).toEqual([]);
    expect(overshoot(times(consumer.passed()), apart(BURSTY))).toBe(0);
  });

  it('T4 a quota that is partly used is not whole again when Redis is emptied', async () => {
    const consumer = await rig.consumer('daily');
    const used = await use(consumer, QUOTA / 2);
    await rig.redis.command('FLUSHALL');
    await expectLeft(consumer, QUOTA - used + UNSEEN);
  });

  it('T4 tells its master that it counts alone', async () => {
    rig.link.cut();
    for (const where of ['local', 'shared']) {
      for (const node of rig.nodes) {
        const { replica } = await statusOf(node);
        const told = async (): Promise<boolean> => {
          const { body } = await rig.master.client.get(`/v1/replicas/${replica}`);
          return body.status?.throttle === where;
        };
        await until(told, { what: `the master to know that ${replica} is ${where}` });
      }
      rig.link.heal();
    }
  });

  it('T4 a replica that starts without Redis serves, counts alone, and finds it later', async () => {
    await rig.redis.kill();
    const node = await rig.addNode();
    expect((await statusOf(node)).throttle).toBe('local');
    const consumer = await rig.consumer('steady');
    consumer.begin(CLIENTS);
    await consumer.served(20, 200);
    await consumer.served(20, 429);
    await rig.redis.again();
    rig.link.lead(rig.redis.port);
    await rig.counting('shared');
    await consumer.served(20, 429);
    await consumer.end();
    expect(consumer.wrong).toEqual([]);
    await rig.dropNode();
  });

  it('T4 a quota that is partly used is not whole again when everything was killed and Redis is empty', async () => {
    const consumer = await rig.consumer('daily');
    const used = await use(consumer, QUOTA / 2);
    // what is kept is written once a second, and nothing is written where nothing has changed
    for (const stateDir of rig.stateDirs) {
      const written = (): number => statSync(join(stateDir, 'counters', 'data.mdb')).mtimeMs;
      await until(() => written() > lastAskedMs && Date.now() - written() > 2_000, {
        what: 'the counters to be on the disk',
      });
    }
    for (const node of rig.nodes) node.kill('SIGKILL');
    await rig.redis.kill();
    await Promise.all(rig.nodes.map(({ exited }) => exited));
    await rig.redis.again();
    rig.link.lead(rig.redis.port);
    await rig.restartNodes();
    await rig.counting('shared');
    await expectLeft(consumer, QUOTA - used + UNSEEN);
  });

  let lastAskedMs = 0;

  /** Has so many admitted, and a few more; of the last ones each node has seen all but those that the nodes after it were asked for. @returns how many */
  const use = async (consumer: Consumer, count: number): Promise<number> => {
    consumer.begin(2);
    await until(() => consumer.passed().length >= count, { what: `${count} requests to pass` });
    await consumer.end();
    await sleep(LEASE_MS); // no lease is longer, used or not: what was not spent has gone back
    lastAskedMs = Date.now();
    for (const index of rig.nodes.keys()) await consumer.ask(index);
    const { length } = consumer.passed();
    expect(length).toBeLessThan(QUOTA);
    return length;
  };

  /** No more than is left gets through. */
  const expectLeft = async (consumer: Consumer, most: number): Promise<void> => {
    const before = consumer.passed().length;
    consumer.begin(CLIENTS);
    await consumer.served(10, 429);
    await consumer.end();
    expect(consumer.wrong).toEqual([]);
    const more = consumer.passed().length - before;
    expect(more).toBeGreaterThan(0);
    expect(more).toBeLessThanOrEqual(most);
  };
});
