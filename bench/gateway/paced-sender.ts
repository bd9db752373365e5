/**
 * Sends requests at a steady rate, whether or not earlier ones were answered: a process of its own, so that it can have a
 * core of its own. Every millisecond a fixed number is due; the time of each runs from when it was due, not from when a
 * connection or this process was free to send it (what wrk2 corrects, and wrk does not).
 *
 *   node dist/bench/gateway/paced-sender.js '<PacedLoad as JSON>'
 */
import { connect, type Socket } from 'node:net';
import type { PacedLoad, PacedTimes } from './paced-load.js';
import { requestText } from './world.js';

const { port, connections, rate, seconds, seed, world } = JSON.parse(process.argv[2] ?? '{}') as PacedLoad;
/** Not counted: connections are made, and caches filled. */
const WARM_UP_MS = 500;
/** What is not answered so long after the end never is. */
const PATIENCE_MS = 2000;
const SHARED = Buffer.allocUnsafe(65_536); // read and understood before anybody else reads

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
/** when they were due; the first `taken` are on their way */
const waiting: number[] = [];
let taken = 0;
let answered = 0;
let failed = 0;

class Connection {
  private readonly socket: Socket;
  private due = 0;
  private rest = Buffer.alloc(0);

  constructor(ready: () => void) {
    const callback = (length: number, buffer: Uint8Array): boolean => {
      this.receive(buffer as Buffer, length);
      return true;
    };
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer: SHARED, callback } }, () => {
      idle.push(this);
      ready();
    });
    this.socket.on('error', (error) => fail(`a connection failed: ${error.message}`));
    this.socket.on('close', () => fail('the gateway closed a connection'));
  }

  send(due: number): void {
    this.due = due;
    this.socket.write(requestText(world, random), 'latin1');
  }

  private receive(buffer: Buffer, length: number): void {
    const bytes =
      this.rest.length === 0 ? buffer.subarray(0, length) : Buffer.concat([this.rest, buffer.subarray(0, length)]);
    const end = bytes.indexOf('\r\n\r\n');
    const size = end === -1 ? Number.POSITIVE_INFINITY : end + 4 + lengthOf(bytes.toString('latin1', 0, end));
    if (bytes.length < size) {
      this.rest = Buffer.from(bytes);
      return;
    }
    if (this.rest.length > 0) this.rest = Buffer.alloc(0);
    if (bytes.toString('latin1', 9, 12) !== '200') failed += 1;
    answered += 1;
    if (this.due >= from) times.push(performance.now() - this.due);
    if (taken < waiting.length) this.send(waiting[taken++] as number);
    else idle.push(this);
  }
}

function lengthOf(head: string): number {
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length === undefined) return fail('an answer has no Content-Length');
  return Number(length);
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

await new Promise<void>((resolve) => {
  let open = 0;
  for (let i = 0; i < connections; i++) new Connection(() => ++open === connections && resolve());
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
      if (connection) connection.send(began + tick);
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
