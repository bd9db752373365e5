import { BOUNDS } from '../bounds.js';
import { COLON, CR, LF, SP, TAB, TOKEN, VALUE } from './characters.js';
import { FIELD, HASH_START, hashOfName, hashStep, isName, kindOfName } from './field-names.js';

/** What is wrong with a message, and by which status a client is told so. */
export interface Fault {
  status: number;
  detail: string;
}

/** Results of `feed` that are no place where a head ended. */
export const MORE = -1;
export const FAULTY = -2;

/** States of the fields; those of the first line are below 0. */
const LINE_START = 1;
const NAME = 2;
const PADDING = 3;
const CONTENT = 4;
const LINE_LF = 5;
const LAST_LF = 6;
const COMPLETE = 7;

const NOTHING = Buffer.alloc(0);
const NONE: readonly string[] = [];

/**
 * Reads the head of a message, byte by byte, from pieces of whatever size; what it finds out does not depend on where
 * they were cut. It makes no object per field: where names and values stand is in arrays, as offsets from the first byte
 * of the head, and those who need text ask for it. Bytes are copied only where a piece ends within a head.
 *
 * What is found stays valid until `reset`, or until the bytes that were fed change.
 */
export abstract class HeadParser {
  fault: Fault | null = null;
  /** how many fields there are */
  count = 0;
  /** one of FIELD for each field */
  readonly kinds = new Uint8Array(BOUNDS.fields);
  /** fields that do not go on */
  readonly dropped = new Uint8Array(BOUNDS.fields);
  protected state = 0;
  protected bytes: Buffer = NOTHING;
  /** where in `bytes` the head begins */
  protected base = 0;
  /** from `base`: what was looked at */
  protected at = 0;
  private held = 0;
  private own: Buffer | null = null;
  private whole: string | null = null;
  private readonly hashes = new Int32Array(BOUNDS.fields);
  /** one more than there are fields: where the next one would begin */
  private readonly nameAt = new Int32Array(BOUNDS.fields + 1);
  private readonly nameEnd = new Int32Array(BOUNDS.fields);
  private readonly valueAt = new Int32Array(BOUNDS.fields);
  private readonly valueEnd = new Int32Array(BOUNDS.fields);
  private hash = 0;

  /** @param maxBytes of the whole head */
  constructor(protected readonly maxBytes: number = BOUNDS.headBytes) {}

  /** Reads the first line, up to its end or `end`, and lets the fields begin by `beginFields`. @returns where it stopped */
  protected abstract readLine(at: number, end: number): number;
  protected abstract tooLarge(): Fault;

  /** Whether nothing of a head was fed yet. */
  get untouched(): boolean {
    return this.at === 0;
  }

  /** @returns where in `piece` the head ended; or MORE: all of it was taken; or FAULTY: `fault` says what is wrong */
  feed(piece: Buffer, from: number, end: number): number {
    const { held } = this;
    const taken = Math.min(end - from, this.maxBytes - held);
    if (held === 0) {
      this.bytes = piece;
      this.base = from;
    } else {
      this.keep(piece, from, taken);
    }
    this.scan(this.base + held + taken);
    if (this.fault) return FAULTY;
    if (this.state === COMPLETE) return from + this.at - held;
    if (held + taken === this.maxBytes) {
      this.fault = this.tooLarge();
      return FAULTY;
    }
    if (held === 0) this.keep(piece, from, taken);
    return MORE;
  }

  reset(): void {
    this.fault = null;
    this.dropped.fill(0, 0, this.count);
    this.count = 0;
    this.state = 0;
    this.bytes = NOTHING;
    this.at = 0;
    this.held = 0;
    this.own = null;
    this.whole = null;
  }

  /** Every value of a field, in their order. */
  values(name: string): readonly string[] {
    const hash = hashOfName(name);
    let found: string[] | null = null;
    for (let i = 0; i < this.count; i++) {
      if (this.hashes[i] !== hash || !this.named(i, name)) continue;
      if (found) found.push(this.value(i));
      else found = [this.value(i)];
    }
    return found ?? NONE;
  }

  value(index: number): string {
    return this.slice(this.valueAt[index] as number, this.valueEnd[index] as number);
  }

  name(index: number): string {
    return this.slice(this.nameAt[index] as number, this.nameEnd[index] as number);
  }

  /** Whether a tab stands between a value and the end of its line. */
  endsInTab(index: number): boolean {
    const end = this.base + (this.nameAt[index + 1] as number);
    for (let at = this.base + (this.valueEnd[index] as number); at < end; at++) if (this.bytes[at] === TAB) return true;
    return false;
  }

  /** Names and values in turn, as they were received. */
  list(): string[] {
    const list: string[] = [];
    for (let i = 0; i < this.count; i++) list.push(this.name(i), this.value(i));
    return list;
  }

  /** The byte at `offset` of a name, in lower case if it is a letter. */
  nameByte(index: number, offset: number): number {
    return (this.bytes[this.base + (this.nameAt[index] as number) + offset] as number) | 0x20;
  }

  nameLength(index: number): number {
    return (this.nameEnd[index] as number) - (this.nameAt[index] as number);
  }

  drop(name: string): void {
    const hash = hashOfName(name);
    for (let i = 0; i < this.count; i++) if (this.hashes[i] === hash && this.named(i, name)) this.dropped[i] = 1;
  }

  /** Drops what the fields of kind `connection` name. */
  dropNamedByConnection(): void {
    for (let i = 0; i < this.count; i++) {
      if (this.kinds[i] !== FIELD.connection) continue;
      for (const token of this.value(i).split(',')) this.drop(token.trim());
    }
  }

  /** The fields that were not dropped, a line each. Lines in a row that would be written as they came are taken as one. */
  keptLines(): string {
    let text = '';
    let from = -1;
    for (let i = 0; i < this.count; i++) {
      const plain = this.dropped[i] === 0 && this.plain(i);
      if (plain && from < 0) from = this.nameAt[i] as number;
      if (plain) continue;
      if (from >= 0) text += this.slice(from, this.nameAt[i] as number);
      from = -1;
      if (this.dropped[i] === 0) text += `${this.name(i)}: ${this.value(i)}\r\n`;
    }
    return from < 0 ? text : text + this.slice(from, this.nameAt[this.count] as number);
  }

  /** One character per byte. */
  protected slice(from: number, end: number): string {
    this.whole ??= this.bytes.toString('latin1', this.base, this.base + this.at);
    return this.whole.slice(from, end);
  }

  protected beginFields(at: number): void {
    this.state = LINE_START;
    this.nameAt[0] = at - this.base;
  }

  private named(index: number, name: string): boolean {
    const { base } = this;
    return isName(this.bytes, base + (this.nameAt[index] as number), base + (this.nameEnd[index] as number), name);
  }

  private plain(index: number): boolean {
    const nameEnd = this.nameEnd[index] as number;
    if (this.valueAt[index] !== nameEnd + 2 || this.bytes[this.base + nameEnd + 1] !== SP) return false;
    return (this.valueEnd[index] as number) + 2 === this.nameAt[index + 1];
  }

  private scan(end: number): void {
    let at = this.base + this.at;
    if (this.state <= 0) at = this.readLine(at, end);
    if (this.state > 0 && !this.fault) at = this.readFields(at, end);
    this.at = at - this.base;
  }

  private readFields(start: number, end: number): number {
    const { bytes, base } = this;
    let { state, hash } = this;
    let at = start;
    while (at < end && state !== COMPLETE) {
      const byte = bytes[at] as number;
      switch (state) {
        case LINE_START:
          if (byte === CR) state = LAST_LF;
          else if (!TOKEN[byte]) return this.refuse(at, byte === SP || byte === TAB ? FOLDED : NAME_FAULT);
          else if (this.count === BOUNDS.fields) return this.refuse(at, TOO_MANY);
          else {
            hash = hashStep(HASH_START, byte);
            state = NAME;
          }
          break;
        case NAME: {
          let next = byte;
          while (TOKEN[next]) {
            hash = hashStep(hash, next);
            at += 1;
            if (at === end) break;
            next = bytes[at] as number;
          }
          if (at === end) continue;
          if (next !== COLON) return this.refuse(at, NAME_FAULT);
          const { count } = this;
          this.nameEnd[count] = at - base;
          this.hashes[count] = hash;
          this.kinds[count] = kindOfName(bytes, base + (this.nameAt[count] as number), at, hash);
          state = PADDING;
          break;
        }
        case PADDING:
          if (byte === SP || byte === TAB) break;
          this.valueAt[this.count] = at - base;
          state = CONTENT;
          continue; // the same byte again
        case CONTENT: {
          let next = byte;
          while (VALUE[next]) {
            at += 1;
            if (at === end) break;
            next = bytes[at] as number;
          }
          if (at === end) continue;
          if (next !== CR) return this.refuse(at, VALUE_FAULT);
          state = LINE_LF;
          break;
        }
        case LINE_LF:
          if (byte !== LF) return this.refuse(at, VALUE_FAULT);
          this.endField(at - 1);
          state = LINE_START;
          break;
        default:
          if (byte !== LF) return this.refuse(at, NAME_FAULT);
          state = COMPLETE;
      }
      at += 1;
    }
    this.state = state;
    this.hash = hash;
    return at;
  }

  /** @param at of the CR */
  private endField(at: number): void {
    const { base, bytes, count } = this;
    const least = base + (this.valueAt[count] as number);
    let last = at;
    while (last > least && (bytes[last - 1] === SP || bytes[last - 1] === TAB)) last -= 1;
    this.valueEnd[count] = last - base;
    this.count = count + 1;
    this.nameAt[count + 1] = at + 2 - base;
  }

  protected refuse(at: number, fault: Fault): number {
    this.fault = fault;
    return at;
  }

  private keep(piece: Buffer, from: number, length: number): void {
    const needed = this.held + length;
    if (!this.own || this.own.length < needed) {
      const grown = Buffer.allocUnsafeSlow(Math.min(this.maxBytes, Math.max(512, 2 * needed)));
      if (this.own) this.own.copy(grown, 0, 0, this.held);
      this.own = grown;
    }
    piece.copy(this.own, this.held, from, from + length);
    this.held = needed;
    this.bytes = this.own;
    this.base = 0;
  }
}

const fault = (detail: string, status = 400): Fault => ({ status, detail });
const FOLDED = fault('a header field is folded over several lines');
const NAME_FAULT = fault('a header field does not begin with a name that a colon follows at once');
const VALUE_FAULT = fault('a header field has a character that must not be in one, or does not end with CR LF');
const TOO_MANY = fault(`there are more than ${BOUNDS.fields} header fields`, 431);
