import { HOUR_MS, USAGE_LIMITS } from '#model';
import type { Logger } from '#platform';
import type { UsageStorage } from './usage-disk-port.js';
import { COUNT_WIDTH, type UsageTaken } from './usage-tally.js';
import { hourName, nameOf, sumOf, type Use } from './use.js';

/** Entries in memory, of some 300 bytes. It takes a broken disk, or more subscriptions than that, to have so many. */
const MOST_HELD = 500_000;
/** Hours that are counted in: the newest, and the one before, for a clock that is set back by a moment. */
const OPEN_HOURS = 2;

interface Held extends Use {
  counts: [number, number, number];
  /** sums: of what the master has taken, and of what the disk has */
  told: number;
  stored: number;
}

/** Of one series and hour, with the sums that they had. */
export interface Batch {
  uses: Use[];
  settle: (taken: boolean) => void;
}

export interface LedgerOptions {
  disk: UsageStorage;
  /** milliseconds since 1970 */
  now: () => number;
  newSeries: () => string;
  log: Logger;
}

/**
 * What this replica has counted and no master has taken for good. Counts of the open hours are in memory, and follow on the disk;
 * when an hour is over and the disk has it, what is not told yet is there alone.
 *
 * Each run counts in a series of its own, from 0: what the disk has of earlier ones is final, and a disk that lost its last second, or
 * all, hides nothing behind a greater count that a master knows. So does a clock that is set back into hours that are over.
 */
export class UsageLedger {
  private readonly held = new Map<string, Held>();
  private unstored = new Set<Held>();
  /** by series and hour: what has grown since it was told */
  private untold = new Map<string, Set<Held>>();
  /** names that the disk need not have any more */
  private readonly gone = new Set<string>();
  private series: string;
  private newest = 0;
  private failing = false;
  private full = false;
  /** the disk may have what is not in memory, and not told */
  private backlog = true;

  constructor(private readonly options: LedgerOptions) {
    this.series = options.newSeries();
  }

  add({ counts, keys, clients }: UsageTaken): void {
    const hour = this.hourNow();
    for (let at = 0; at < counts.length; at += COUNT_WIDTH) {
      const [subscription, application, api, ...more] = counts.slice(at, at + COUNT_WIDTH);
      const open = subscription === null;
      const held = this.entry(hour, 'count', (open ? api : subscription) as string, application, open ? null : api);
      if (!held) continue;
      for (let i = 0; i < 3; i++) held.counts[i] = (held.counts[i] as number) + (more[i] as number);
      this.grown(held);
    }
    for (const id of keys) this.used(hour, 'key', id);
    for (const id of clients) this.used(hour, 'client', id);
  }

  /** Writes what has grown. Never rejects: what the disk does not take is written with what comes next. */
  async store(): Promise<void> {
    const { disk, log } = this.options;
    const [changed, gone] = [[...this.unstored], [...this.gone]];
    if (changed.length === 0 && gone.length === 0) return;
    this.unstored = new Set();
    this.gone.clear();
    const uses = changed.map(copyOf);
    try {
      await disk.write(uses, gone);
      changed.forEach((held, i) => (held.stored = sumOf(uses[i] as Use)));
      if (this.failing) log.info('usage is written to the disk again');
      this.failing = false;
    } catch (error) {
      for (const held of changed) this.unstored.add(held);
      for (const name of gone) this.gone.add(name);
      if (!this.failing)
        log.error({ cause: (error as Error).message }, 'usage cannot be written to the disk, and is kept in memory');
      this.failing = true;
    }
  }

  /** Lets go of hours that are over: of what was told, and of what the disk has. It walks all of it: now and then. */
  tidy(): void {
    const newest = this.hourNow();
    for (const [name, held] of this.held) {
      if (held.series === this.series && held.hour > newest - OPEN_HOURS) continue;
      const sum = sumOf(held);
      if (held.told === sum) this.gone.add(name);
      else if (held.stored === sum) this.backlog = true;
      else continue;
      this.held.delete(name);
      this.unstored.delete(held);
      this.untold.get(groupOf(held))?.delete(held);
    }
  }

  /** What nobody has taken for so long that masters would not any more. Rejects when the disk has failed. */
  forget(): Promise<void> {
    return this.options.disk.forget(hourName(Math.max(0, this.hourNow() - USAGE_LIMITS.keptHours)));
  }

  /** What is to be told, from memory and then from the disk: each batch is to be settled before the next one is asked for. */
  async *batches(): AsyncGenerator<Batch> {
    const waiting: Held[][] = [];
    for (const group of this.untold.values()) {
      const all = [...group];
      for (let at = 0; at < all.length; at += USAGE_LIMITS.entries)
        waiting.push(all.slice(at, at + USAGE_LIMITS.entries));
    }
    this.untold = new Map();
    try {
      for (let next = waiting.shift(); next; next = waiting.shift()) yield this.batchOf(next);
    } finally {
      for (const held of waiting.flat()) this.tellLater(held); // nobody has listened to the end
    }
    if (this.backlog) yield* this.stored();
  }

  private async *stored(): AsyncGenerator<Batch> {
    const { disk } = this.options;
    let remains = false;
    let ended = false;
    this.backlog = false;
    try {
      for (let name: string | null = ''; name !== null; ) {
        const { uses, last } = await disk.read(name, USAGE_LIMITS.entries);
        name = last;
        // the newest state of what is held is in memory, and told from there
        const waiting = uses.filter((use) => !this.held.has(nameOf(use)) && !this.gone.has(nameOf(use)));
        for (const group of groupsOf(waiting)) {
          const settle = (taken: boolean): void => {
            if (taken) for (const use of group) this.gone.add(nameOf(use));
            else remains = true;
          };
          yield { uses: group, settle };
        }
      }
      ended = true;
    } finally {
      this.backlog ||= remains || !ended;
    }
  }

  private batchOf(all: Held[]): Batch {
    const uses = all.map(copyOf);
    const settle = (taken: boolean): void =>
      all.forEach((held, i) => {
        if (taken) held.told = sumOf(uses[i] as Use);
        else this.tellLater(held);
      });
    return { uses, settle };
  }

  /** Since 1970. Only forward but for a moment: what it was counted in before has another series. */
  private hourNow(): number {
    const hour = Math.floor(this.options.now() / HOUR_MS);
    if (hour <= this.newest - OPEN_HOURS) {
      this.series = this.options.newSeries();
      this.newest = hour;
    }
    this.newest = Math.max(this.newest, hour);
    return hour;
  }

  private used(hour: number, kind: 'key' | 'client', id: string): void {
    const held = this.entry(hour, kind, id, null, null);
    if (!held || held.counts[0] > 0) return;
    held.counts[0] = 1;
    this.grown(held);
  }

  private entry(hour: number, kind: Use['kind'], id: string, application: unknown, api: unknown): Held | null {
    const { series } = this;
    const name = nameOf({ hour, series, kind, id });
    const known = this.held.get(name);
    if (known) return known;
    if (this.held.size >= MOST_HELD) {
      if (!this.full)
        this.options.log.error({ entries: MOST_HELD }, 'too much usage waits for the disk; more is not counted');
      this.full = true;
      return null;
    }
    this.full = false;
    const named = { application: application as string | null, api: api as string | null };
    const held: Held = { series, hour, kind, id, ...named, counts: [0, 0, 0], told: 0, stored: 0 };
    this.held.set(name, held);
    return held;
  }

  private grown(held: Held): void {
    this.unstored.add(held);
    this.tellLater(held);
  }

  private tellLater(held: Held): void {
    const group = groupOf(held);
    const waiting = this.untold.get(group);
    if (waiting) waiting.add(held);
    else this.untold.set(group, new Set([held]));
  }
}

const groupOf = ({ series, hour }: Use): string => `${series} ${hour}`;

function groupsOf(uses: readonly Use[]): Use[][] {
  const groups = new Map<string, Use[]>();
  for (const use of uses) {
    const group = groups.get(groupOf(use));
    if (group) group.push(use);
    else groups.set(groupOf(use), [use]);
  }
  return [...groups.values()];
}

const copyOf = ({ told: _1, stored: _2, ...use }: Held): Use => ({ ...use, counts: [...use.counts] });
