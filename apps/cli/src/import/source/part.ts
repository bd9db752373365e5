import type { Notes } from './notes.js';
import type { Place } from './read-text.js';

const MAX_LABEL = 60;

/**
 * A part of a foreign file. It knows what of it was looked at: what nobody has asked for when all is converted has no
 * counterpart, and is reported by `unread`. So nothing gets lost in silence, fields of versions to come included.
 *
 * No accessor throws: a value of another type than is asked for is noted, and is as if it were not there.
 */
export class Part {
  private touched = false;
  private readonly children = new Map<string | number, Part>();

  private constructor(
    private readonly notes: Notes,
    readonly value: unknown,
    readonly place: Place,
    /** the place in words: names where there are some */
    readonly label: string,
  ) {}

  static root(notes: Notes, value: unknown): Part {
    return new Part(notes, value, [], '');
  }

  get present(): boolean {
    return this.value !== undefined && this.value !== null;
  }

  at(key: string): Part {
    this.touched = true;
    if (this.present && !isObject(this.value)) this.wrong('an object');
    return this.child(key, isObject(this.value) && Object.hasOwn(this.value, key) ? this.value[key] : undefined);
  }

  fields(): [string, Part][] {
    this.touched = true;
    if (isObject(this.value)) return Object.entries(this.value).map(([key, value]) => [key, this.child(key, value)]);
    if (this.present) this.wrong('an object');
    return [];
  }

  items(): Part[] {
    this.touched = true;
    if (Array.isArray(this.value)) return this.value.map((value: unknown, index) => this.child(index, value));
    if (this.present) this.wrong('a list');
    return [];
  }

  /** Also of a number: YAML makes numbers of names that are not in quotes. */
  text(): string | undefined {
    this.touched = true;
    if (typeof this.value === 'string') return this.value;
    if (typeof this.value === 'number') return String(this.value);
    if (this.present) this.wrong('a text');
    return undefined;
  }

  number(): number | undefined {
    this.touched = true;
    if (typeof this.value === 'number' && Number.isFinite(this.value)) return this.value;
    if (this.present) this.wrong('a number');
    return undefined;
  }

  /** @param otherwise where nothing is said */
  flag(otherwise: boolean): boolean {
    this.touched = true;
    if (typeof this.value === 'boolean') return this.value;
    if (this.present) this.wrong('true or false');
    return otherwise;
  }

  /** A list of texts; one text alone is a list of one. */
  texts(): string[] {
    if (typeof this.value === 'string' || typeof this.value === 'number') return [this.text() ?? ''];
    return this.items().flatMap((item) => item.text() ?? []);
  }

  /** Says nothing that matters here: ids, times, tags. */
  skip(...keys: string[]): void {
    for (const key of keys) this.at(key).skipAll();
  }

  skipAll(): void {
    this.touched = true;
    this.children.clear();
    this.skipped = true;
  }

  /** It has no counterpart. */
  lost(why: string, todo: string): void {
    this.note('lost', why, todo);
  }

  /** It is carried over, and behaves in another way. */
  changed(why: string, todo: string): void {
    this.notes.add('changed', this, why, todo);
  }

  /** It kept callers out, has no counterpart, and so what it protected lets nobody in. */
  closed(why: string, todo: string): void {
    this.note('closed', why, todo);
  }

  /** Notes everything that nobody has asked for. */
  reportUnread(): void {
    if (this.skipped || isEmpty(this.value)) return;
    if (!this.touched) {
      this.lost('Heliograph has nothing that this would set', 'see whether you need it');
      return;
    }
    if (isObject(this.value)) {
      for (const [key, value] of Object.entries(this.value)) this.child(key, value).reportUnread();
    } else if (Array.isArray(this.value)) {
      for (const child of this.children.values()) child.reportUnread();
    }
  }

  private skipped = false;

  private note(kind: 'lost' | 'closed', why: string, todo: string): void {
    this.notes.add(kind, this, why, todo);
    this.skipAll();
  }

  private wrong(expected: string): void {
    this.lost(`it should be ${expected}`, 'mend the file and convert it again');
  }

  private child(key: string | number, value: unknown): Part {
    const known = this.children.get(key);
    if (known) return known;
    const child = new Part(this.notes, value, [...this.place, key], this.labelOf(key, value));
    // what stands below something that was skipped is skipped, too
    child.skipped = this.skipped;
    this.children.set(key, child);
    return child;
  }

  private labelOf(key: string | number, value: unknown): string {
    if (typeof key === 'string') return this.label === '' ? shorten(key) : `${this.label}.${shorten(key)}`;
    const name = isObject(value) ? (value.name ?? value.username) : undefined;
    return `${this.label}[${typeof name === 'string' && name !== '' ? shorten(name) : key}]`;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What exports write where nothing was set. */
export function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '' || value === false || value === 0) return true;
  return typeof value === 'object' && Object.values(value).every(isEmpty);
}

/** For reports, which are read on terminals. */
function shorten(text: string): string {
  const plain = text.toWellFormed().replace(/[^\P{C}]|[`|]/gu, '?');
  return plain.length > MAX_LABEL ? `${plain.slice(0, MAX_LABEL - 3).toWellFormed()}...` : plain;
}
