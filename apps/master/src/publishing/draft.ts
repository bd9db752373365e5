import { LIMITS } from '#artifacts';
import { type Op, TABLE } from '#model';
import { placementsOf, publishedAmong } from './chain-entries.js';
import { type Entry, entryName, idOf } from './entries.js';
import type { Loaded } from './loaded.js';
import { TooLarge } from './loaders.js';
import { type Reading, readEntries } from './read-entries.js';
import { newReferencesOf, referencesOf } from './references.js';
import type { Session } from './session.js';

/** A change of the chain, and what it says until then; undefined: it has a release there, too large to be kept at hand. */
export interface Change extends Op {
  before: Buffer | null | undefined;
}

/** An entry of which nothing can be made; the chain keeps what it says now. */
export interface Unusable {
  entry: Entry;
  problem: string;
}

export interface Draft {
  changes: Change[];
  unusable: Unusable[];
  /** to be looked at again when no other marker waits */
  postponed: Entry[];
}

/** Beside key and value: head, and two lengths at their longest. */
const BYTES_PER_OP = 9;
const BYTES_OF_COUNT = 4;
/** Entries: what is in memory beside the changes stays bounded, and requests that this process answers get their turn. */
const AT_A_TIME = 1_000;

/**
 * Finds out what has to change on the chain for it to say of `entries` what the rows say, in the snapshot of the
 * transaction that `session` is in, and so that every revision is referentially closed:
 * - What a new value refers to and the chain lacks comes along: key, client -> application -> plan, placement -> release -> plan.
 * - A release to which no placement of the chain refers any more leaves with the last one that did.
 * - An application or plan without a row leaves only where `all` markers were taken: another one that waits may say that
 *   something on the chain refers to it no longer. Until then it does no harm.
 *
 * @throws TooLarge
 */
export async function draftChanges(
  session: Session,
  environment: string,
  entries: readonly Entry[],
  all: boolean,
  reading: Reading,
): Promise<Draft> {
  const drafting = new Drafting(session, environment, reading);
  await drafting.follow(entries.filter(({ table }) => table !== TABLE.release));
  await drafting.followLostKeys();
  drafting.dropDangling();
  await drafting.removeReleases(entries.filter(({ table }) => table === TABLE.release));
  const postponed = all ? [] : drafting.postponeRemovals();
  if (drafting.changes.size > LIMITS.ops || drafting.bytes > LIMITS.bodyBytes) throw new TooLarge();
  return { changes: [...drafting.changes.values()], unusable: drafting.unusable, postponed };
}

class Drafting {
  readonly changes = new Map<string, Change>();
  /** at the most, of the revision's body */
  bytes = BYTES_OF_COUNT;
  readonly unusable: Unusable[] = [];
  private readonly read = new Set<string>();
  /** what the chain has and keeps, as far as it was asked */
  private readonly there = new Set<string>();
  /** what values refer to that stay on the chain although their rows say something else */
  private readonly needed = new Set<string>();
  /** what changes refer to that they did not before, by change and as pairs of id and entry */
  private readonly references = new Map<string, [string, Entry][]>();

  constructor(
    private readonly session: Session,
    private readonly environment: string,
    private readonly reading: Reading,
  ) {}

  /** Compares rows with the chain, then the rows that new values refer to, and so on. */
  async follow(entries: readonly Entry[]): Promise<void> {
    for (let next = entries; next.length > 0; next = await this.missing(next)) {
      if (this.read.size + next.length > LIMITS.ops) throw new TooLarge();
      for (let at = 0; at < next.length; at += AT_A_TIME) {
        const some = next.slice(at, at + AT_A_TIME);
        const { ahead, careful } = this.reading;
        const { before, loaded } = some.every((entry) => ahead.ids.has(idOf(entry)))
          ? ahead
          : await readEntries(this.session, this.environment, some, careful);
        for (const entry of some) {
          const id = idOf(entry);
          this.compare(id, entry, before.get(id) ?? null, loaded.get(id));
        }
        if (this.bytes > LIMITS.bodyBytes) throw new TooLarge();
      }
    }
  }

  private compare(id: string, entry: Entry, before: Buffer | null, loaded: Loaded | undefined): void {
    this.read.add(id);
    if (loaded && 'problem' in loaded) return this.keep(entry, before, loaded.problem);
    const value = loaded?.value ?? null;
    if (before !== null && value?.equals(before)) this.there.add(id);
    else if (before !== null || value !== null) this.change({ table: entry.table, key: entry.key, value, before });
  }

  private change(change: Change): void {
    this.changes.set(idOf(change), change);
    this.bytes += BYTES_PER_OP + change.key.length + (change.value?.length ?? 0);
  }

  private keep(entry: Entry, before: Buffer | null | undefined, problem: string): void {
    this.unusable.push({ entry: { table: entry.table, key: entry.key }, problem });
    if (!before) return;
    this.there.add(idOf(entry));
    for (const reference of referencesOf(entry.table, before)) this.needed.add(idOf(reference));
  }

  /** What the changes of `entries` refer to and neither chain nor draft has. */
  private async missing(entries: readonly Entry[]): Promise<Entry[]> {
    const { known } = this.reading;
    const wanted = new Map<string, Entry>();
    for (const entry of entries) {
      for (const [id, reference] of this.referencesFrom(idOf(entry))) {
        if (this.read.has(id) || this.there.has(id)) continue;
        if (known.has(id)) this.there.add(id);
        else wanted.set(id, reference);
      }
    }
    for (const id of await publishedAmong(this.session, this.environment, [...wanted.values()])) {
      known.add(id);
      this.there.add(id);
      wanted.delete(id);
    }
    return [...wanted.values()];
  }

  private referencesFrom(id: string): [string, Entry][] {
    const found = this.references.get(id);
    if (found) return found;
    const change = this.changes.get(id);
    if (!change) return [];
    const references = newReferencesOf(change).map((reference): [string, Entry] => [idOf(reference), reference]);
    this.references.set(id, references);
    return references;
  }

  /** Applications whose keys or clients went: they stay as long as they have another one. */
  async followLostKeys(): Promise<void> {
    const applications = new Map<string, Entry>();
    for (const { table, value, before } of this.changes.values()) {
      if ((table !== TABLE.key && table !== TABLE.client) || value !== null || !before) continue;
      for (const application of referencesOf(table, before)) applications.set(idOf(application), application);
    }
    await this.follow([...applications].filter(([id]) => !this.read.has(id)).map(([, application]) => application));
  }

  /** A value that refers to what cannot be had is of no use either, and what a kept value refers to has to stay. */
  dropDangling(): void {
    for (let dropped = true; dropped; ) {
      dropped = false;
      for (const [id, change] of this.changes) {
        const dangling = this.referencesFrom(id).find(([reference]) => !this.willHave(reference));
        if (!dangling) continue;
        this.changes.delete(id);
        this.keep(change, change.before, `it refers to ${entryName(dangling[1])}, which cannot be published`);
        dropped = true;
      }
    }
    for (const [id, { value }] of this.changes) if (value === null && this.needed.has(id)) this.changes.delete(id);
  }

  private willHave(id: string): boolean {
    const change = this.changes.get(id);
    return change ? change.value !== null : this.there.has(id);
  }

  /** Takes away those of `marked`, and of what changed placements referred to, to which no placement of the chain will refer. */
  async removeReleases(marked: readonly Entry[]): Promise<void> {
    const candidates = new Map(marked.map((entry) => [idOf(entry), entry]));
    for (const { table, before } of this.changes.values()) {
      for (const release of table === TABLE.placement && before ? referencesOf(table, before) : [])
        candidates.set(idOf(release), release);
    }
    if (candidates.size === 0) return;
    const present = await publishedAmong(this.session, this.environment, [...candidates.values()]);
    for (const { key, value } of await placementsOf(
      this.session,
      this.environment,
      [...candidates.values()].map(({ key }) => key),
    )) {
      if (!this.changes.has(idOf({ table: TABLE.placement, key })))
        candidates.delete(idOf({ table: TABLE.release, key: value }));
    }
    for (const { table, value } of this.changes.values()) {
      if (table === TABLE.placement && value) candidates.delete(idOf({ table: TABLE.release, key: value }));
    }
    for (const [id, { table, key }] of candidates)
      if (present.has(id)) this.change({ table, key, value: null, before: undefined });
  }

  postponeRemovals(): Entry[] {
    const postponed: Entry[] = [];
    for (const [id, { table, key, value }] of this.changes) {
      if (value !== null || (table !== TABLE.application && table !== TABLE.plan)) continue;
      this.changes.delete(id);
      postponed.push({ table, key });
    }
    return postponed;
  }
}
