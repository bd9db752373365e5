import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { TAIL, type TailFilter, type TailWish } from '#model';
import { sleep, WaitingLines } from '#platform';
import type { TailOf } from './tail-talk.js';
import type { Tails } from './tails.js';

/** A replica of which requests are wished for. */
export interface TailedReplica {
  id: string;
  /** to any master, as far as is known */
  connected: boolean;
}

export interface TailStreamOptions {
  tails: Tails;
  of: TailOf;
  filter: TailFilter;
  /** the replicas, as they were found */
  replicas: readonly TailedReplica[];
  /** finds them again: they come and go */
  look: () => Promise<readonly TailedReplica[]>;
  /** monotonic milliseconds */
  now: () => number;
  /** when the stream ends; default: ten minutes. Its reader comes back, and is asked for a token again. */
  mostMs?: number;
  /** a reader who takes nothing for so long has gone; default: a minute */
  stuckMs?: number;
}

const MOST_MS = 10 * 60_000;
const STUCK_MS = 60_000;
const LOOK_MS = 250;
/** Proxies close a connection on which nothing comes; 60 s is usual. */
const COMMENT_MS = 15_000;
/** For a reader who is slow. What is too much is left out and counted; nothing waits for him. */
const MOST_WAITING = 1_000;
const AT_ONCE = 50;
/** What a replica has to answer in, before it is told that it does not; and one that was asked again. */
const PATIENCE_MS = 3_000;
const SILENT_MS = TAIL.renewMs + PATIENCE_MS;

/** One reader of requests of a region or a replica, as server-sent events: `line`, `dropped`, and `replicas`, which says whose lines come. */
export class TailStream {
  private readonly gone = new AbortController();
  private readonly waiting = new WaitingLines(MOST_WAITING);
  private readonly heardAt = new Map<string, number>();
  private readonly wish: TailWish;
  private replicas: readonly TailedReplica[];
  private stuck: NodeJS.Timeout | null = null;
  private wroteAt = 0;
  private looking = false;
  private told = '';

  constructor(
    private readonly options: TailStreamOptions,
    private readonly response: ServerResponse,
  ) {
    this.replicas = options.replicas;
    this.wish = { tail: randomUUID(), forMs: TAIL.holdMs, linesPerSecond: this.rate, filter: options.filter };
    response.on('close', () => this.gone.abort());
  }

  /** Parts with the reader, who comes back. */
  stop(): void {
    this.gone.abort();
  }

  /** Until the reader has gone, the time is over, or `stop` is called. */
  async run(): Promise<void> {
    const { tails, of, now, mostMs = MOST_MS } = this.options;
    const { signal } = this.gone;
    if (this.response.destroyed) return;
    tails.open(this.wish.tail, of, (replica, { lines, dropped }) => {
      this.heardAt.set(replica, now());
      for (const line of lines) this.put(replica, line);
      this.waiting.leftOut(dropped);
      this.flush();
    });
    const began = now();
    this.write('retry: 1000\n\n');
    try {
      for (let askedAt = -TAIL.renewMs; !signal.aborted && now() - began < mostMs; ) {
        if (now() - askedAt >= TAIL.renewMs) {
          askedAt = now();
          tails.ask({ ...this.wish, linesPerSecond: this.rate });
          void this.look();
        }
        this.tellReplicas(now() - began > PATIENCE_MS);
        if (this.stuck === null && now() - this.wroteAt > COMMENT_MS) this.write(': still open\n\n');
        await sleep(LOOK_MS, signal);
      }
    } finally {
      tails.close(this.wish);
      if (this.stuck) clearTimeout(this.stuck);
      this.response.end();
    }
  }

  /** of each replica, so that all of them together keep to what is shown */
  private get rate(): number {
    return Math.max(5, Math.floor(TAIL.linesPerSecond / Math.max(1, this.replicas.length)));
  }

  /** Where the database does not answer, those of before are asked. */
  private async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    this.replicas = await this.options.look().catch(() => this.replicas);
    this.looking = false;
  }

  /** What is no JSON has not come from a replica of ours. */
  private put(replica: string, line: string): void {
    try {
      // first to be seen, and last to count: a replica speaks for itself alone
      this.waiting.put(JSON.stringify(Object.assign({ replica }, JSON.parse(line) as object, { replica })));
    } catch {
      this.waiting.leftOut(1);
    }
  }

  private flush(): void {
    while (this.stuck === null && !this.waiting.isEmpty && !this.gone.signal.aborted) {
      const { lines, dropped } = this.waiting.take(AT_ONCE, TAIL.messageChars);
      const events = lines.map((line) => `event: line\ndata: ${line}\n\n`);
      if (dropped > 0) events.push(`event: dropped\ndata: ${JSON.stringify({ lines: dropped })}\n\n`);
      this.write(events.join(''));
    }
  }

  /** @param waited those that have not answered by now are missing */
  private tellReplicas(waited: boolean): void {
    const { now } = this.options;
    const isHeard = ({ id }: TailedReplica): boolean => now() - (this.heardAt.get(id) ?? -SILENT_MS) < SILENT_MS;
    const missing = this.replicas.filter((one) => !isHeard(one));
    if (this.stuck !== null || (missing.length > 0 && !waited)) return;
    const said = JSON.stringify({
      followed: this.replicas.filter(isHeard).map(({ id }) => id),
      missing: missing.map(({ id, connected }) => ({
        replica: id,
        because: connected ? 'it is connected to a master, and does not answer' : 'it is not connected to a master',
      })),
    });
    if (said === this.told) return;
    this.told = said;
    this.write(`event: replicas\ndata: ${said}\n\n`);
  }

  private write(text: string): void {
    if (this.gone.signal.aborted) return;
    this.wroteAt = this.options.now();
    if (this.response.write(text) || this.stuck !== null) return;
    this.stuck = setTimeout(() => this.response.destroy(), this.options.stuckMs ?? STUCK_MS);
    this.response.once('drain', () => {
      if (this.stuck) clearTimeout(this.stuck);
      this.stuck = null;
      this.flush();
    });
  }
}
