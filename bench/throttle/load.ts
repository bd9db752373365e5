import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { monotonicMicros } from './admitted.js';

const SENDER = fileURLToPath(new URL('./sender.js', import.meta.url));
const run = promisify(execFile);
/** Until the process that sends has started and connected. */
const START_MS = 1000;

/** What the clients do. Times: see `monotonicMicros`; what is not from `from` to `until` is sent, and not counted. */
export interface Load {
  /** one for each node; clients are spread over them */
  ports: readonly number[];
  clients: number;
  /** requests a second, of all clients together */
  rate: number;
  /** numbers of keys, in turns */
  keys: { first: number; count: number };
  /** a turn that comes while every client waits is nobody's, instead of later */
  leavesOut: boolean;
  from: number;
  until: number;
}

/** Milliseconds from a request's turn to its answer. */
export interface Times {
  count: number;
  p50: number;
  p99: number;
}

export interface Sent {
  /** not answered two seconds after the end */
  missing: number;
  /** answered neither 200 nor 429 */
  other: number;
  admitted: Times;
  refused: Times;
}

export type LoadPlan = Omit<Load, 'from' | 'until'> & { cores: string; warmUpMs: number; seconds: number };

/** What was sent while it counted, and two readings of whatever is watched: when that began, and when it ended. */
export interface Loaded<R> {
  sent: Sent;
  from: number;
  until: number;
  before: R;
  after: R;
}

/** @throws Error when something was not answered, or not as a limiter answers */
export async function underLoad<R>(plan: LoadPlan, read: () => Promise<R>): Promise<Loaded<R>> {
  const { cores, warmUpMs, seconds, ...rest } = plan;
  const from = monotonicMicros() + (START_MS + warmUpMs) * 1000;
  const until = from + seconds * 1e6;
  const load: Load = { ...rest, from, until };
  const sending = run('taskset', ['-c', cores, process.execPath, SENDER, JSON.stringify(load)]);
  const readings = (async (): Promise<[R, R]> => {
    await sleepUntil(from);
    const before = await read();
    await sleepUntil(until);
    return [before, await read()];
  })();
  const [{ stdout }, [before, after]] = await Promise.all([sending, readings]);
  const sent = JSON.parse(stdout) as Sent;
  if (sent.missing > 0 || sent.other > 0)
    throw new Error(`${sent.missing} requests were not answered, ${sent.other} neither 200 nor 429`);
  return { sent, from, until, before, after };
}

const sleepUntil = (micros: number): Promise<void> => sleep(Math.max(0, (micros - monotonicMicros()) / 1000));
