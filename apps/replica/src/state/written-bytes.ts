import { BodyReader, decodeHeader } from '#artifacts';
import type { Op } from '#model';
import { entryName } from './state-layout.js';
import type { Target } from './state-transaction.js';

export interface SignedRevision {
  /** all of it, as it was signed */
  bytes: Buffer;
  body: Buffer;
  target: Target;
}

/** One after the other: all at once a segment's ops would take ten times the memory of its bytes. */
export function* opsIn(body: Buffer, mostOps: number): Iterable<Op> {
  const reader = new BodyReader(body, mostOps);
  for (let op = reader.next(); op; op = reader.next()) yield op;
}

export function namesIn(body: Buffer, mostOps: number): Set<string> {
  return new Set(Array.from(opsIn(body, mostOps), ({ table, key }) => entryName(table, key).toString('latin1')));
}

/** Verified ones, of which each says where it ends. @param hashes of them, one after the other */
export function revisionsIn(bytes: Buffer, hashes: Buffer): SignedRevision[] {
  const revisions: SignedRevision[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { header, length } = decodeHeader(bytes.subarray(at));
    const end = at + length + header.bodyLength;
    const hash = hashes.subarray(32 * revisions.length, 32 * (revisions.length + 1));
    revisions.push({
      bytes: bytes.subarray(at, end),
      body: bytes.subarray(at + length, end),
      target: { ...header, hash },
    });
    at = end;
  }
  return revisions;
}

/** What came from another thread is no Buffer any more. */
export function buffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
