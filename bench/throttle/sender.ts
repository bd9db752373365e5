/**
 * Clients that ask at a steady rate together, whatever they are answered. A request whose turn comes while every client still waits
 * for an answer waits too, and its time runs from its turn; or, where it is only asked much, it is left out.
 *
 *   node dist/bench/throttle/sender.js '<Load as JSON>'
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '../gateway/connection.js';
import { contextOf, keyText, ROUTES } from '../gateway/world.js';
import { monotonicMicros, SENT_FIELD } from './admitted.js';
import type { Load, Sent, Times } from './load.js';

const load = JSON.parse(process.argv[2] ?? '{}') as Load;
const PATIENCE_MS = 2000;

interface Turn {
  due: number;
  number: number;
}

const turns = new Map<Connection, Turn>();
const idle: Connection[] = [];
/** whose turn has come; the first `taken` are on their way */
const waiting: Turn[] = [];
const times = { admitted: [] as number[], refused: [] as number[] };
let taken = 0;
let counted = 0;
let answered = 0;
let other = 0;

function fail(why: string): never {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}

function send(connection: Connection, turn: Turn): void {
  turns.set(connection, turn);
  const key = load.keys.first + (turn.number % load.keys.count);
  const route = turn.number % ROUTES;
  connection.send(
    `GET /${contextOf(0)}/resource-${route}/7 HTTP/1.1\r\nHost: api.example.com\r\nX-API-Key: ${keyText(key)}\r\nAccept: application/json\r\n` +
      `${SENT_FIELD}: ${monotonicMicros()}\r\n\r\n`,
  );
}

function receive(connection: Connection, status: number): void {
  const now = monotonicMicros();
  const { due } = turns.get(connection) as Turn;
  if (due >= load.from && due < load.until) {
    answered += 1;
    if (status === 200) times.admitted.push((now - due) / 1000);
    else if (status === 429) times.refused.push((now - due) / 1000);
    else other += 1;
  }
  if (taken < waiting.length) send(connection, waiting[taken++] as Turn);
  else idle.push(connection);
}

function timesOf(list: number[]): Times {
  const sorted = Float64Array.from(list).sort();
  const at = (share: number): number => sorted[Math.floor(share * sorted.length)] ?? Number.NaN;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99) };
}

await new Promise<void>((resolve) => {
  let open = 0;
  const opened = (connection: Connection): void => {
    idle.push(connection);
    if (++open === load.clients) resolve();
  };
  for (let i = 0; i < load.clients; i++)
    new Connection(load.ports[i % load.ports.length] as number, opened, receive, fail);
});
const began = monotonicMicros();
if (began > load.from) fail('the clients were not ready in time');
const each = 1e6 / load.rate;
for (let number = 0, due = began; due < load.until; ) {
  for (const now = monotonicMicros(); due <= now && due < load.until; number++, due += each) {
    const turn = { due, number };
    const connection = idle.shift(); // in turns, so that every client and every node has its share
    if (!connection && load.leavesOut) continue;
    if (due >= load.from) counted += 1;
    if (connection) send(connection, turn);
    else waiting.push(turn);
  }
  await sleep(1);
}
for (const gaveUp = monotonicMicros() + PATIENCE_MS * 1000; answered < counted && monotonicMicros() < gaveUp; )
  await sleep(5);
const result: Sent = {
  missing: counted - answered,
  other,
  admitted: timesOf(times.admitted),
  refused: timesOf(times.refused),
};
process.stdout.write(JSON.stringify(result), () => process.exit(0));
