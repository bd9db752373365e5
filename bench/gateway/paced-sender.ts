/**
 * Sends requests at a steady rate, whether or not earlier ones were answered: a process of its own, so that it can have a
 * core of its own. Every millisecond a fixed number is due; the time of each runs from when it was due, not from when a
 * connection or this process was free to send it (what wrk2 corrects, and wrk does not).
 *
 *   node dist/bench/gateway/paced-sender.js '<PacedLoad as JSON>'
 */
import { Connection } from './connection.js';
import type { PacedLoad, PacedTimes } from './paced-load.js';
import { requestText } from './world.js';

const { port, connections, rate, seconds, seed, world } = JSON.parse(process.argv[2] ?? '{}') as PacedLoad;
/** Not counted: connections are made, and caches filled. */
const WARM_UP_MS = 500;
/** What is not answered so long after the end never is. */
const PATIENCE_MS = 2000;

let state = seed;
/** xorshift: repeatable, and free of allocation. */
function random(): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
}

const times: number[] = [];
const idle: Connection[] = [];
const dueAt = new Map<Connection, number>();
/** when they were due; the first `taken` are on their way */
const waiting: number[] = [];
let taken = 0;
let answered = 0;
let failed = 0;

function send(connection: Connection, due: number): void {
  dueAt.set(connection, due);
  connection.send(requestText(world, random));
}

function receive(connection: Connection, status: number): void {
  if (status !== 200) failed += 1;
  answered += 1;
  const dueThen = dueAt.get(connection) ?? 0;
  if (dueThen >= from) times.push(performance.now() - dueThen);
  if (taken < waiting.length) send(connection, waiting[taken++] as number);
  else idle.push(connection);
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

await new Promise<void>((resolve) => {
  let open = 0;
  const opened = (connection: Connection): void => {
    idle.push(connection);
    if (++open === connections) resolve();
  };
  for (let i = 0; i < connections; i++) new Connection(port, opened, receive, fail);
});
const began = performance.now();
const from = began + WARM_UP_MS;
const until = from + seconds * 1000;
let due = 0;
let tick = 0;

const timer = setInterval(() => {
  const now = Math.min(performance.now(), until);
  for (; began + tick < now; tick++) {
    for (; due < ((tick + 1) * rate) / 1000; due++) {
      const connection = idle.pop();
      if (connection) send(connection, began + tick);
      else waiting.push(began + tick);
    }
  }
  if (now < until) return;
  clearInterval(timer);
  finish();
}, 1);

function finish(): void {
  const gaveUpAt = performance.now() + PATIENCE_MS;
  const look = setInterval(() => {
    if (answered < due && performance.now() < gaveUpAt) return;
    clearInterval(look);
    const sorted = Float64Array.from(times).sort();
    const missing = due - answered;
    const at = (share: number): number | null => sorted[Math.floor(share * (sorted.length + missing))] ?? null;
    const result: PacedTimes = { answered, missing, failed, p50: at(0.5), p99: at(0.99), p999: at(0.999) };
    process.stdout.write(JSON.stringify(result), () => process.exit(0));
  }, 5);
}
