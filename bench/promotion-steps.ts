import { loadavg } from 'node:os';
import { until } from '#harness';
import { machineLine, quantile } from './machine.js';
import { numbersFrom, say } from './options.js';
import { upstreamThatAnswers } from './promotion/upstream.js';
import { type Published, PromotionWorld, type QueueKind } from './promotion/world.js';

const { promotions, blocks } = numbersFrom(
  `
How long each step of a promotion takes by itself, with a real master and a real replica in each of three regions, when nothing is waited for
(no soak, no number of requests): with jobs that the master wakes, and with BullMQ on Redis, in turns. Beside it in the same turns: a placement
that is written past promotions, until all replicas have acknowledged it (Prefer: wait, applied=all).`,
  { promotions: 60, blocks: 2 },
);

const STRATEGY = { waves: [['eu-west'], ['us-east', 'ap-south']], soak: 0, gates: { minRequests: 0 } };
const STEPS = [
  'asked -> wave 1 placed',
  'wave 1 placed -> acknowledged',
  'acknowledged -> wave 2 placed',
  'wave 2 placed -> acknowledged',
  'acknowledged -> completed',
] as const;

class Times {
  private readonly all = new Map<string, number[]>();

  note(what: string, ms: number): void {
    this.all.set(what, [...(this.all.get(what) ?? []), ms]);
  }

  *lines(): Generator<string> {
    for (const [what, ms] of this.all) {
      const [p50, p95, most] = [quantile(ms, 0.5), quantile(ms, 0.95), Math.max(...ms)].map((value) =>
        value.toFixed(0),
      );
      yield `  ${what.padEnd(34)} p50 ${p50} ms, p95 ${p95} ms, max ${most} ms (n = ${ms.length})`;
    }
  }
}

/** By the clock of the database, which writes down when each of them happened. */
async function promote(world: PromotionWorld, { api }: Published, release: string, times: Times): Promise<void> {
  await world.place('staging', api, '*', release, { 'if-match': '*' });
  const began = performance.now();
  const { body } = await world.master.client.post('/v1/promotions', { api, release, to: 'prod', strategy: STRATEGY });
  times.note('the request itself', performance.now() - began);
  const ended = async (): Promise<boolean> => {
    const { rows } = await world.pool.query('SELECT state FROM promotion WHERE id = $1', [body.id]);
    return rows[0]?.state === 'completed';
  };
  await until(ended, { what: `${body.id} to be completed`, every: 20 });
  const { rows } = await world.pool.query(
    `SELECT type, extract(epoch FROM at)::float8 * 1000 AS ms FROM event WHERE subject = 'promotion/' || $1 ORDER BY written`,
    [body.id],
  );
  const moments = (rows as { type: string; ms: number }[]).map(({ ms }) => ms);
  if (moments.length !== STEPS.length + 1) throw new Error(`it took other steps: ${JSON.stringify(rows)}`);
  for (const [n, step] of STEPS.entries()) times.note(step, (moments[n + 1] ?? 0) - (moments[n] ?? 0));
  times.note('asked -> completed', (moments.at(-1) ?? 0) - (moments[0] ?? 0));
}

/** What promotions cannot be faster than: one wave without any promotion. */
async function placeDirectly(world: PromotionWorld, { api }: Published, release: string, times: Times): Promise<void> {
  const began = performance.now();
  const { status } = await world.master.client.put(
    `/v1/placements/prod/${api}/eu-west?applied=all`,
    { release, reason: 'bench' },
    { headers: { prefer: 'wait=10', 'if-match': '*' } },
  );
  if (status === 202) throw new Error('a placement was not acknowledged within 10 s');
  times.note('a placement, applied=all', performance.now() - began);
}

say(machineLine());
const { url, close } = await upstreamThatAnswers(200);
const world = await PromotionWorld.start('in-process');
try {
  const upstreams = { first: url, second: url };
  const [promoted, placed] = [await world.publish('promoted', upstreams), await world.publish('placed', upstreams)];
  const results: Record<QueueKind, Times> = { 'in-process': new Times(), BullMQ: new Times() };
  let turn = 0;
  for (let block = 0; block < 2 * blocks; block++) {
    const queue = block % 2 === 0 ? 'in-process' : 'BullMQ';
    await world.master.stop();
    await world.startMaster(queue);
    await promote(world, promoted, turn++ % 2 === 0 ? promoted.second : promoted.first, new Times()); // all are connected again
    for (let n = 0; n < promotions / blocks; n++, turn++) {
      const which = turn % 2 === 0 ? 'second' : 'first';
      await promote(world, promoted, promoted[which], results[queue]);
      await placeDirectly(world, placed, placed[which], results[queue]);
    }
  }
  for (const [queue, times] of Object.entries(results)) {
    say(`jobs are woken ${queue === 'BullMQ' ? 'through Redis, by BullMQ' : 'by the master itself'}:`);
    for (const line of times.lines()) say(line);
  }
  say(`load of the machine in the last minute: ${(loadavg()[0] ?? 0).toFixed(1)}`);
} finally {
  await world.stop();
  close();
}
