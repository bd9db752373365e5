import { setImmediate } from 'node:timers/promises';
import type { Logger } from '#platform';
import type { Bucket, Clock } from '#throttle';
import type { KeptCount, KeptCounts, Membership } from './kept-counts.js';
import { isSpent, type KnownBucket } from './known-bucket.js';

const WRITE_MS = 1000;
/** In one second; the others wait for the next one. */
const MAX_WRITTEN = 10_000;
/** At a time, 2 to 3 ms in which process 1 hears no answer of Redis, which is late after 4. All at once were 20 to 40 ms. */
const PORTION = 500;
const MAX_LOOKED_AT = 1000;
/** Of what is in memory, so much is looked at in a second: else who comes with ever new addresses would fill it. */
const LOOKED_AT_SHARE = 1 / 30;
/** Quotas that nobody asked for that long are read from the disk again when somebody does. */
const IDLE_MS = 600_000;
/** ... and sooner where there are more than so many: on open routes each address of a client has one. */
const MANY = 100_000;
const SOON_IDLE_MS = 10_000;
/** Bytes that LMDB takes for a key, with room for three of them in a character. */
const MAX_NAME = 600;

/** What this node knows of all buckets: in memory, and of quotas, once a second, on the disk. */
export class KnownBuckets {
  /** told of quotas that are on the disk only from now on */
  onForgotten: (bucket: Bucket) => void = () => undefined;
  private readonly rates = new Map<string, KnownBucket>();
  private readonly quotas = new Map<string, KnownBucket>();
  private changes = new Map<string, KnownBucket>();
  private readonly debtors = new Set<KnownBucket>();
  private kept: KeptCounts | null = null;
  private met = '';
  private toMeet: Membership | null = null;
  private pruned = '';
  private looked: Iterator<[string, KnownBucket], undefined> | null = null;
  private writing: Promise<void> = Promise.resolve();
  private busy = false;
  private fails = false;
  private timer: NodeJS.Timeout | null = null;

  /** @param alone there is no Redis, which could be owed anything */
  constructor(
    private readonly clock: Clock,
    private readonly log: Logger,
    private readonly alone = false,
  ) {}

  /** Without what is on the disk when that cannot be read: no request may depend on it. */
  open(open: () => KeptCounts): void {
    try {
      this.kept = open();
      const { setAside } = this.kept;
      if (setAside !== null)
        this.log.warn(
          { movedTo: setAside },
          'the kept counts of quotas were damaged, and are put away; others are begun',
        );
    } catch (error) {
      this.log.error({ err: error }, 'counts of quotas cannot be kept on the disk; they begin anew with a restart');
    }
    this.timer = setInterval(() => this.tick(), WRITE_MS).unref();
  }

  get membership(): Membership | null {
    return this.kept?.membership ?? null;
  }

  meet(membership: Membership): void {
    const text = JSON.stringify(membership);
    if (text !== this.met) this.toMeet = membership;
    this.met = text;
  }

  of(bucket: Bucket): KnownBucket {
    const { kind, name } = bucket;
    const buckets = kind === 'rate' ? this.rates : this.quotas;
    let known = buckets.get(name);
    if (!known) {
      const count = kind === 'quota' ? this.read(name) : null;
      known = {
        bucket,
        seen: '',
        era: -1,
        spent: 0,
        spentIn: 0,
        uncounted: 0,
        usedAt: 0,
        ...count,
      };
      buckets.set(name, known);
    }
    known.bucket = bucket;
    known.usedAt = this.clock.monotonicMs();
    return known;
  }

  /** It is to be kept. */
  changed(known: KnownBucket): void {
    const { kind, name } = known.bucket;
    if (kind === 'quota' && this.kept && name.length <= MAX_NAME) this.changes.set(name, known);
  }

  /** Some of those of which Redis is owed something. */
  owing(count: number): KnownBucket[] {
    const owing: KnownBucket[] = [];
    for (const known of this.debtors) {
      if (owing.length === count) break;
      this.debtors.delete(known);
      if (known.spent !== 0) owing.push(known);
    }
    return owing;
  }

  /** Redis is owed something. */
  owes(known: KnownBucket): void {
    if (!this.alone) this.debtors.add(known);
    this.changed(known);
  }

  /** Nothing is owed for a rate any more. */
  paid(name: string): void {
    const known = this.rates.get(name);
    if (known) known.spent = 0;
  }

  async close(): Promise<void> {
    if (this.timer) clearInterval(this.timer);
    await this.writing;
    while (this.kept && this.changes.size > 0 && !this.fails) await this.write(this.kept);
    await this.kept?.close();
    this.kept = null;
  }

  private read(name: string): KeptCount | null {
    try {
      return name.length <= MAX_NAME ? (this.kept?.get(name) ?? null) : null;
    } catch (error) {
      if (!this.fails) this.log.error({ err: error }, 'counts of quotas cannot be read from the disk; they begin anew');
      this.fails = true;
      return null;
    }
  }

  private tick(): void {
    this.sweep();
    const { kept } = this;
    if (kept && !this.busy) this.writing = this.write(kept);
  }

  private async write(kept: KeptCounts): Promise<void> {
    this.busy = true;
    try {
      for (let written = 0; written < MAX_WRITTEN; written += PORTION) {
        this.writePortion(kept, written === 0);
        if (this.changes.size === 0 || this.fails) break;
        await setImmediate();
      }
    } finally {
      this.busy = false;
    }
  }

  private writePortion(kept: KeptCounts, first: boolean): void {
    const { toMeet } = this;
    const batch = new Map<string, KnownBucket>();
    for (const [name, known] of this.changes) {
      if (batch.size === PORTION) break;
      batch.set(name, known);
      this.changes.delete(name);
    }
    this.toMeet = null;
    try {
      if (batch.size > 0 || toMeet) kept.write(entriesOf(batch), toMeet);
      const now = this.clock.monotonicMs() * 1000;
      if (first) this.pruned = kept.prune(this.pruned, MAX_LOOKED_AT, (count) => isSpent('quota', count, now));
      if (this.fails) this.log.info('counts of quotas are kept on the disk again');
      this.fails = false;
    } catch (error) {
      for (const [name, known] of batch) if (!this.changes.has(name)) this.changes.set(name, known);
      this.toMeet ??= toMeet;
      if (!this.fails)
        this.log.error(
          { err: error },
          'counts of quotas cannot be written to the disk; it is tried again every second',
        );
      this.fails = true;
    }
  }

  /** Buckets in memory. */
  get size(): number {
    return this.rates.size + this.quotas.size;
  }

  /** Forgets what counts no more, some at a time. To be called every second. */
  sweep(): void {
    const now = this.clock.monotonicMs();
    this.looked ??= chained(this.rates, this.quotas);
    const count = Math.max(MAX_LOOKED_AT, LOOKED_AT_SHARE * this.size);
    for (let i = 0; i < count; i++) {
      const next = this.looked.next();
      if (next.done === true) {
        this.looked = null;
        return;
      }
      const [name, known] = next.value;
      const { kind } = known.bucket;
      const idleMs = this.quotas.size > MANY ? SOON_IDLE_MS : IDLE_MS;
      // a debtor that were forgotten, and read again, would be charged twice
      const isKept = this.kept !== null && !this.changes.has(name) && !this.debtors.has(known);
      const idle = kind === 'quota' && now - known.usedAt > idleMs && isKept;
      // what was asked for this second may be on its way
      if (idle || (now - known.usedAt > WRITE_MS && isSpent(kind, known, now * 1000)))
        (kind === 'rate' ? this.rates : this.quotas).delete(name);
      if (idle) this.onForgotten(known.bucket);
    }
  }
}

function* entriesOf(batch: Map<string, KnownBucket>): Generator<[string, KeptCount]> {
  for (const [name, { seen, spent, spentIn }] of batch) yield [name, { seen, spent, spentIn }];
}

function* chained<T>(...maps: Map<string, T>[]): Generator<[string, T], undefined> {
  for (const map of maps) yield* map;
  return undefined;
}
