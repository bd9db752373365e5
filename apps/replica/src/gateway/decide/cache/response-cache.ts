import type { CompiledApi } from '../compile/compile-api.js';
import type { Forward } from '../decision.js';
import type { RequestHead } from '../request-head.js';
import {
  type AnswerTimes,
  isPersonal,
  keepingOf,
  outdates,
  type UpstreamHead,
  valuesOf,
  type Wishes,
  wishesOf,
} from './cache-rules.js';
import { Recording } from './recording.js';
import { type CacheHit, hitOf, type StoredAnswer, storedAnswer } from './stored-answer.js';

/** Answers of one URI that differ by fields of the request: these fields' values lead to each of them. */
interface Variants {
  /** names what was kept under these fields; never used again, so that what was forgotten cannot be found again */
  id: number;
  fields: readonly string[];
}

type Slot = ({ kind: 'answer' } & StoredAnswer) | ({ kind: 'variants' } & Variants);

interface Held {
  slot: Slot;
  bytes: number;
}

/** What a slot, and a text in it, costs beside its characters and body, in bytes; measured, rounded up. */
const SLOT_BYTES = 1024;
const TEXT_BYTES = 32;
/** An answer may fill this part of the cache at most, and never more than so many bytes. */
const LARGEST_PART = 8;
const LARGEST_BYTES = 8 * 1024 * 1024;
/** A body goes to its caller while it is written down, at the caller's pace. So long nobody else may write down its URI. */
const PATIENCE_MS = 10_000;

/** What is being written down of a URI. */
interface Writing {
  recording: Recording;
  patienceMs: number;
  /** monotonic milliseconds: from when on another caller's takes its place */
  yieldsAt: number;
}

/**
 * Answers of upstreams, kept in the memory of one worker: never more bytes than it may have, those that are written down
 * at the moment included; the least recently used go first. What may be kept and given is in `cache-rules.ts`.
 *
 * For whoever carries out what `decide` decided. With `forward.uri` null there is nothing to do; else:
 *
 *   lookup ─▶ hit: answer as if the upstream had
 *      └────▶ null: ask the upstream ─▶ record (of any method) ─▶ null
 *                                          └▶ recording: write ... write, then end or abort
 *
 * Another release is another CompiledApi, and what was kept for the one before is never found again. A write (POST, PUT ...)
 * that succeeds makes this worker forget the answers of its URI; other workers and regions keep theirs until they expire.
 */
export class ResponseCache {
  /** by key, least recently used first */
  private readonly slots = new Map<string, Held>();
  /** by URI: one at a time, so that a hundred misses at once do not write down the same a hundred times */
  private readonly writings = new Map<string, Writing>();
  private readonly names = new WeakMap<CompiledApi, number>();
  private lastName = 0;
  private lastVariants = 0;
  private kept = 0;
  private lent = 0;
  private readonly largest: number;
  hits = 0;
  misses = 0;
  /** answers that made room for others */
  evictions = 0;

  constructor(private readonly capacity: number) {
    this.largest = Math.min(LARGEST_BYTES, Math.floor(capacity / LARGEST_PART));
  }

  /** Bytes that are in use; never more than the capacity. */
  get bytes(): number {
    return this.kept + this.lent;
  }

  get size(): number {
    return this.slots.size;
  }

  /** @param now monotonic milliseconds */
  lookup(head: RequestHead, forward: Forward, now: number): CacheHit | null {
    if (forward.uri === null || forward.route.cache === null) return null;
    const wishes = wishesOf(head);
    if (wishes === null) return null;
    const stored = this.find(head, forward, now);
    if (stored && willDo(stored, wishes, now) && (stored.forEverybody || !isPersonal(head, forward))) {
      this.hits += 1;
      return hitOf(stored, head, now);
    }
    this.misses += 1;
    return null;
  }

  /** @returns what writes the body down; null: this answer is not kept */
  record(head: RequestHead, forward: Forward, answer: UpstreamHead, times: AnswerTimes): Recording | null {
    if (forward.uri === null) return null;
    const uri = this.keyOf(head, forward);
    if (outdates(head.method, answer.status)) this.forget(uri);
    const keeping = keepingOf(head, forward, answer, times);
    if (keeping === null) return null;
    const length = lengthOf(answer);
    if (length === null || (length !== 'chunked' && length > this.largest)) return null;
    const slow = this.writings.get(uri);
    if (slow && times.now < slow.yieldsAt) return null;
    slow?.recording.abort();

    const recording = new Recording(
      {
        reserve: (bytes) => this.lend(bytes),
        release: (bytes) => (this.lent -= bytes),
        done: (which, body) => {
          // it was forgotten while it was written down
          if (this.writings.get(uri)?.recording !== which) return;
          this.writings.delete(uri);
          if (body === null) return;
          const key = keeping.vary.length > 0 ? this.variantKey(uri, keeping.vary, head, forward) : uri;
          this.put(key, { kind: 'answer', ...storedAnswer(answer, body, keeping, times) });
        },
      },
      this.largest,
      length === 'chunked' ? null : length,
    );
    // twice as long as the one before had: what takes long for everybody is kept in the end, too
    const patienceMs = slow ? 2 * slow.patienceMs : PATIENCE_MS;
    this.writings.set(uri, { recording, patienceMs, yieldsAt: times.now + patienceMs });
    return recording;
  }

  private find(head: RequestHead, forward: Forward, now: number): StoredAnswer | null {
    const uri = this.keyOf(head, forward);
    let key = uri;
    let slot = this.use(uri);
    if (slot?.kind === 'variants') {
      key = nameOf(uri, slot, head, forward);
      slot = this.use(key);
    }
    if (slot?.kind !== 'answer') return null;
    if (slot.goodUntil > now) return slot;
    this.drop(key);
    return null;
  }

  /** The key of a variant. Answers that depend on other fields than those before make these unreachable. */
  private variantKey(uri: string, fields: readonly string[], head: RequestHead, forward: Forward): string {
    const known = this.use(uri);
    if (known?.kind === 'variants' && known.fields.join() === fields.join()) return nameOf(uri, known, head, forward);
    const variants = { kind: 'variants', id: ++this.lastVariants, fields } as const;
    this.put(uri, variants);
    return nameOf(uri, variants, head, forward);
  }

  /** Host and scheme are in it because upstreams write them into links: one caller's must not get into others' answers. */
  private keyOf(head: RequestHead, forward: Forward): string {
    let name = this.names.get(forward.api);
    if (name === undefined) this.names.set(forward.api, (name = ++this.lastName));
    return `${name} ${head.scheme ?? 'http'} ${head.values('host')[0] ?? ''} ${forward.uri}`;
  }

  private forget(uri: string): void {
    this.drop(uri);
    this.writings.delete(uri);
  }

  private use(key: string): Slot | null {
    const held = this.slots.get(key);
    if (!held) return null;
    this.slots.delete(key);
    this.slots.set(key, held);
    return held.slot;
  }

  private put(key: string, slot: Slot): void {
    this.drop(key);
    const bytes = SLOT_BYTES + key.length + sizeOf(slot);
    if (bytes > this.capacity - this.lent) return;
    this.kept += bytes;
    this.makeRoom();
    this.slots.set(key, { slot, bytes });
  }

  private drop(key: string): void {
    const held = this.slots.get(key);
    if (!held) return;
    this.slots.delete(key);
    this.kept -= held.bytes;
  }

  /** At most half of the cache is for what is being written down: that cannot be put out, and may come to nothing. */
  private lend(bytes: number): boolean {
    if (this.lent + bytes > this.capacity / 2) return false;
    this.lent += bytes;
    this.makeRoom();
    return true;
  }

  private makeRoom(): void {
    for (const key of this.slots.keys()) {
      if (this.kept + this.lent <= this.capacity) return;
      this.drop(key);
      this.evictions += 1;
    }
  }
}

function willDo(stored: StoredAnswer, { maxAgeMs, minFreshMs }: Wishes, now: number): boolean {
  return stored.ageMs + now - stored.storedAt <= maxAgeMs && stored.goodUntil - now >= minFreshMs;
}

/** A field that stays here does not make a difference to the upstream. Values have no line breaks. */
function nameOf(uri: string, { id, fields }: Variants, head: RequestHead, { withheld }: Forward): string {
  let name = `${uri}\n${id}`;
  for (const field of fields) name += `\n${withheld.includes(field) ? '' : head.values(field).join(', ')}`;
  return name;
}

function sizeOf(slot: Slot): number {
  const [texts, bytes] = slot.kind === 'variants' ? [slot.fields, 0] : [slot.headers, slot.body.length];
  return texts.reduce((sum, text) => sum + text.length + TEXT_BYTES, bytes);
}

/** Null for a body that ends with the connection: nobody can tell whether it is whole. */
function lengthOf({ status, headers }: UpstreamHead): number | 'chunked' | null {
  if (status === 204) return 0;
  if (valuesOf(headers, 'transfer-encoding').length > 0) return 'chunked';
  const [text = ''] = valuesOf(headers, 'content-length');
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}
