import { type Op, TABLE } from '#model';
import { type EntryFault, entryFault, faultOfEntry } from './entry-fault.js';
import type { HeldEntry } from './held-entry.js';
import { servingInstead } from './serving-instead.js';
import { entryName } from './state-layout.js';

/** The state before a revision. Names are those of `entryName`; a range is in their order. */
export interface StoredView {
  /** what the chain says */
  chain(name: Buffer): Buffer | null;
  chainHas(name: Buffer): boolean;
  chainNames(table: number): Iterable<Buffer>;
  held(name: Buffer): HeldEntry | null;
  heldNames(table?: number): Iterable<Buffer>;
}

export interface HeldChange {
  name: Buffer;
  /** null: from now on what the chain says is served */
  held: HeldEntry | null;
}

/**
 * Decides what is served differently from what the chain says, once `ops` are applied: an entry that cannot be used
 * keeps its last good value (`servingInstead` says when not), and a release stays for as long as a placement that is served needs it. Everything else,
 * revocations above all, is served as it comes.
 *
 * Two things hold before and after, and are what the decision rests on: an entry that is not held was found usable
 * when it was applied, and the release of every placement that is served is served.
 *
 * @param faults of those ops that `faultOfEntry` finds something wrong with
 */
export function judgeHeld(
  view: StoredView,
  ops: readonly Op[],
  faults: ReadonlyMap<Op, EntryFault>,
  revision: number,
): HeldChange[] {
  return new Judgement(view, revision).afterOps(ops, faults);
}

/** Judges everything that is held once more: another build may know what an older one did not. */
export function judgeHeldAgain(view: StoredView, revision: number): HeldChange[] {
  return new Judgement(view, revision).again();
}

class Judgement {
  /** what the chain says of releases and placements after the ops that change them */
  private readonly after = new Map<string, Buffer | null>();
  private readonly changes = new Map<string, HeldChange>();
  /** releases that placements need which are served, in hexadecimal */
  private readonly needed = new Set<string>();
  private readonly anyHeld: boolean;

  constructor(
    private readonly view: StoredView,
    private readonly revision: number,
  ) {
    this.anyHeld = !isEmpty(view.heldNames());
  }

  afterOps(ops: readonly Op[], faults: ReadonlyMap<Op, EntryFault>): HeldChange[] {
    const releases: Buffer[] = [];
    const placements: Buffer[] = [];
    for (const op of ops) {
      const name = entryName(op.table, op.key);
      if (op.table === TABLE.release || op.table === TABLE.placement) this.after.set(id(name), op.value);
      if (op.table === TABLE.release) releases.push(name);
      if (op.table === TABLE.placement) placements.push(name);
      else if (this.anyHeld || faults.has(op)) this.hold(name, op.value, faults.get(op) ?? null, true);
    }
    if (this.reachesOtherPlacements(releases, placements)) this.judgeAllPlacements(releases, placements);
    else for (const name of placements) this.judgePlacement(name);
    return [...this.changes.values()];
  }

  again(): HeldChange[] {
    for (const name of this.view.heldNames()) {
      const value = this.view.chain(name);
      if (tableOf(name) !== TABLE.placement)
        this.hold(name, value, value && faultOfEntry(tableOf(name), name.subarray(1), value), false);
    }
    if (this.anyHeld) this.judgeAllPlacements([], []);
    return [...this.changes.values()];
  }

  /** Looking at every placement is for revisions that may concern some which they do not name; most do not. */
  private reachesOtherPlacements(releases: Buffer[], placements: Buffer[]): boolean {
    if (releases.some((name) => !this.after.get(id(name)) || this.heldAfter(name) !== null)) return true;
    if (releases.length + placements.length === 0 || !this.anyHeld) return false;
    return !isEmpty(this.view.heldNames(TABLE.release)) || !isEmpty(this.view.heldNames(TABLE.placement));
  }

  private judgeAllPlacements(releases: Buffer[], placements: Buffer[]): void {
    for (const name of [...this.view.chainNames(TABLE.placement), ...placements]) this.judgePlacement(name);
    for (const name of [...releases, ...this.view.heldNames(TABLE.release)]) {
      if (this.chainAfter(name) !== null) continue;
      const serving = this.needed.has(name.toString('hex', 1)) ? this.servingBefore(name) : null;
      this.set(name, serving && { serving, reason: null });
    }
  }

  private judgePlacement(name: Buffer): void {
    const value = this.chainAfter(name);
    const fault = value && (faultOfEntry(TABLE.placement, name.subarray(1), value) ?? this.faultOfTarget(value));
    this.hold(name, value, fault, this.after.has(id(name)));
    const serving = fault ? this.servingBefore(name) : value;
    if (serving) this.needed.add(serving.toString('hex'));
  }

  private faultOfTarget(digest: Buffer): EntryFault | null {
    const name = entryName(TABLE.release, digest);
    const changed = this.after.get(id(name));
    const there = changed === undefined ? this.view.chainHas(name) : changed !== null;
    if (!there) return entryFault('release_unusable', `the release ${digest.toString('hex')} is not on the chain`);
    const held = this.heldAfter(name);
    if (held === null || held.serving !== null) return null;
    return entryFault('release_unusable', `the release ${digest.toString('hex')} cannot be used: ${held.reason?.code}`);
  }

  /** @param changed whether this revision names the entry; one that it does not keeps the revision of its reason */
  private hold(name: Buffer, value: Buffer | null, fault: EntryFault | null, changed: boolean): void {
    if (value === null || fault === null) return this.set(name, null);
    const before = changed ? undefined : this.heldBefore(name)?.reason;
    const same = before?.code === fault.code && before.detail === fault.detail;
    this.set(name, {
      serving: servingInstead(tableOf(name), value, this.servingBefore(name)),
      reason: same ? before : { revision: this.revision, ...fault },
    });
  }

  private set(name: Buffer, held: HeldEntry | null): void {
    if (sameHeld(this.heldBefore(name), held)) this.changes.delete(id(name));
    else this.changes.set(id(name), { name, held });
  }

  private servingBefore(name: Buffer): Buffer | null {
    const held = this.heldBefore(name);
    return held ? held.serving : this.view.chain(name);
  }

  private heldBefore(name: Buffer): HeldEntry | null {
    return this.anyHeld ? this.view.held(name) : null;
  }

  private heldAfter(name: Buffer): HeldEntry | null {
    const change = this.changes.get(id(name));
    return change ? change.held : this.heldBefore(name);
  }

  private chainAfter(name: Buffer): Buffer | null {
    const value = this.after.get(id(name));
    return value === undefined ? this.view.chain(name) : value;
  }
}

function id(name: Buffer): string {
  return name.toString('latin1');
}

function tableOf(name: Buffer): number {
  return name.readUInt8(0);
}

function isEmpty(items: Iterable<unknown>): boolean {
  for (const _ of items) return false;
  return true;
}

function sameHeld(a: HeldEntry | null, b: HeldEntry | null): boolean {
  if (a === null || b === null) return a === b;
  const serving = a.serving && b.serving ? a.serving.equals(b.serving) : a.serving === b.serving;
  const reason =
    a.reason?.revision === b.reason?.revision &&
    a.reason?.code === b.reason?.code &&
    a.reason?.detail === b.reason?.detail;
  return serving && reason;
}
