import { LIMITS } from '#artifacts';
import type { Session } from './session.js';

/** What a row says as a chain record, or why nothing can be made of it. */
export type Loaded = { key: Buffer; value: Buffer } | { key: Buffer; problem: string };

/** Reads the rows that entries of one table point at. A key without a row is left out. */
export type Loader = (session: Session, environment: string, keys: Buffer[]) => Promise<Loaded[]>;

export function attempt(key: Buffer, encode: () => Buffer): Loaded {
  try {
    const value = encode();
    return value.length > LIMITS.valueBytes ? { key, problem: tooLarge(value.length) } : { key, value };
  } catch (error) {
    return { key, problem: (error as Error).message };
  }
}

/** No row has an id with a NUL, and PostgreSQL takes no text with one. */
export function isText(key: Buffer): boolean {
  return !key.includes(0);
}

export function tooLarge(size: number): string {
  return `it has ${size} bytes, more than ${LIMITS.valueBytes}`;
}
