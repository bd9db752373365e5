import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Pool } from 'undici';
import { machineLine } from './machine.js';
import { numbersFrom, say } from './options.js';
import { Ledger } from './soak/ledger.js';
import { countedBy, workersOf } from './soak/node.js';
import { OddClients } from './soak/odd-clients.js';
import { Requests } from './soak/requests.js';
import { MemoryLog } from './soak/rss.js';
import { Trouble, WORKERS } from './soak/trouble.js';
import { TIGHT, World } from './soak/world.js';

const { minutes, rate } = numbersFrom(
  `
A master, a replica with two gateway workers and four upstreams under mixed load, while keys and releases change, workers are killed and
upstreams are at fault. Every answer is compared with what may be right for it, and every request is accounted for; memory of each
process over time. Ends with 1 when an answer was wrong or a request is missing.`,
  { minutes: 30, rate: 150 },
);

const SAMPLE_MS = 2000;
const LAST_ANSWERS_MS = 60_000;
/** Seconds: the limited plan is looked at in windows, and a request is admitted so much later than it was sent, at the most. */
const WINDOW = 30;
const LATE = 3;

const ledger = new Ledger();
const posts = new Set<string>();
const onRequest = (method: string, id: string): void => {
  if (method !== 'POST') return;
  if (posts.has(id)) ledger.wrong(`${id}: sent upstream twice`);
  posts.add(id);
};
const stop = new AbortController();
setMaxListeners(0, stop.signal);
const running: Promise<void>[] = [];

/** So often a second, and no more than so many at a time. */
function often(perSecond: number, most: number, work: () => Promise<void>): void {
  const loop = async (): Promise<void> => {
    const open = new Set<Promise<void>>();
    while (!stop.signal.aborted) {
      if (open.size < most) {
        const one: Promise<void> = work()
          .catch((error: unknown) => ledger.wrong(`the measurement itself: ${(error as Error).message}`))
          .finally(() => open.delete(one));
        open.add(one);
      }
      await sleep((1000 / perSecond) * (0.5 + Math.random()), undefined, { signal: stop.signal }).catch(
        () => undefined,
      );
    }
    await Promise.all(open);
  };
  running.push(loop());
}

function load(requests: Requests, odd: OddClients, pipelining: Client): void {
  const share = (part: number): number => rate * part;
  const pipelined = async (): Promise<void> => {
    await Promise.all(Array.from({ length: 8 }, () => requests.get('pipelined', pipelining)));
  };
  often(share(0.3), 32, () => requests.get());
  often(share(0.1), 16, () => requests.post());
  often(share(0.1), 16, () => requests.postChunks());
  often(share(0.1), 8, () => requests.wrongKey());
  often(share(0.1), 8, () => requests.cached());
  often(Math.max(2 * TIGHT, share(0.1)), 8, () => requests.limited());
  often(share(0.08), 32, () => requests.faulty());
  often(share(0.01), 2, pipelined);
  often(share(0.04), 16, () => odd.abort());
  often(share(0.01), 4, () => requests.upload());
  often(share(0.01), 4, () => requests.download());
  often(1, 4, () => odd.slowHead());
  often(1, 4, () => odd.slowBody());
  often(0.5, 4, () => odd.slowReader());
  often(2, 20, () => odd.tunnel());
}

function disturb(trouble: Trouble, ends: number): void {
  const half = performance.now() + (ends - performance.now()) / 2;
  often(2, 1, () => trouble.changeKeys());
  often(0.3, 1, () => trouble.moveRelease());
  often(0.1, 1, () => trouble.faultUpstreams(stop.signal));
  often(0.05, 1, () => trouble.killWorker(performance.now() > half));
}

function watch(memory: MemoryLog, world: World): void {
  often(1000 / SAMPLE_MS, 1, async () => {
    memory.sample('master', world.master.pid);
    memory.sample('replica, process 1', world.region.pid);
    const { body } = await pool.request({ path: '/status', method: 'GET', origin: world.region.admin });
    const { workers } = (await body.json()) as Awaited<{ workers: { pid: number | null; listening: boolean }[] }>;
    for (const { listening, pid } of workers) if (pid && listening) memory.sample('gateway worker', pid);
  });
}

/** Whatever dies, no more is admitted than the plan says: a burst, and so many a second. */
function judgeLimit(admitted: readonly number[]): void {
  const most = TIGHT * (1 + WINDOW + LATE);
  const sorted = [...admitted].sort((a, b) => a - b);
  const over = sorted.findIndex((at, index) => (sorted[index + most] ?? Number.POSITIVE_INFINITY) - at < WINDOW * 1000);
  if (over >= 0)
    ledger.wrong(`more than ${most} requests of a limit of ${TIGHT} a second were admitted in ${WINDOW} s`);
}

async function judgeCounters(world: World, trouble: Trouble): Promise<void> {
  const { deaths, faults, requests } = await countedBy(world.region, WORKERS);
  const counted = requests + trouble.gone;
  const [least, most] = [ledger.answered - trouble.unsure, ledger.answered + ledger.unanswered + trouble.unsure];
  say(
    `the gateway counted ${requests}; ${trouble.gone} (within ${trouble.unsure}) went uncounted with workers that were killed: together ${counted}; ` +
      `clients had ${ledger.answered} answers and ${ledger.unanswered} requests without`,
  );
  if (counted < least || counted > most) ledger.wrong(`the gateway's count is not from ${least} to ${most}`);
  if (deaths !== trouble.done.kills) ledger.wrong(`${deaths} workers ended, and ${trouble.done.kills} were killed`);
  if (faults > 0) ledger.wrong(`the gateway has caught ${faults} faults of its own`);
}

say(machineLine());
const world = await World.start(onRequest);
const memory = new MemoryLog();
const pool = new Pool(world.region.admin, { connections: 1 });
const dispatcher = new Pool(world.region.gateway, { connections: 48 });
const pipelining = new Client(world.region.gateway, { pipelining: 8 });
const trouble = new Trouble(world, ledger);
try {
  for (let n = 0; n < 10; n++) await world.issue();
  await workersOf(world.region, WORKERS);
  const requests = new Requests(world, ledger, dispatcher);
  const ends = performance.now() + minutes * 60_000;
  load(requests, new OddClients(world, ledger, () => requests.goodKey()), pipelining);
  disturb(trouble, ends);
  watch(memory, world);
  await sleep(minutes * 60_000);
  stop.abort();
  await Promise.race([Promise.all(running), sleep(LAST_ANSWERS_MS, undefined, { ref: false })]);
  for (const { id } of ledger.open) ledger.wrong(`${id}: nothing is known of it`);
  judgeLimit(requests.admitted);
  await judgeCounters(world, trouble);
  const { faults, keys, kills, releases } = trouble.done;
  say(
    `${minutes} minutes: ${keys} keys issued or revoked, ${releases} releases moved, ${kills} workers killed, ${faults} faults of upstreams`,
  );
  say(ledger.table());
  for (const line of memory.table(minutes)) say(line);
  for (const line of ledger.wrongsShown()) say(line);
  say(ledger.wrongs.length === 0 ? 'no wrong answer, every request accounted for' : `${ledger.wrongs.length} wrong`);
  process.exitCode = ledger.wrongs.length === 0 ? 0 : 1;
} finally {
  stop.abort();
  await Promise.all([pool.destroy(), dispatcher.destroy(), pipelining.destroy()]);
  await world.stop();
}
