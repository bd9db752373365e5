import { z } from 'zod';
import { LIMITS } from '#artifacts';
import { environmentId } from '#model';

/*
 * What lies in HELIO_STATE_DIR:
 *
 *   lock             which process runs on it
 *   identity.json    who this replica is, from its join
 *   state.damaged/   what lay in state/ and was no LMDB file
 *   state/           LMDB, with these tables:
 *     meta           "layout" -> u16 version of all this; "position" and "head" -> JSON, below
 *     entries        table:u8 key -> value, as the chain says it, and nothing more: there are millions
 *     held           table:u8 key -> HeldEntry: where the replica serves something else than the chain says
 *     sums           bucket:u16 -> 32 bytes, the sums of the state root
 *     deltas         revision:u48 -> the exact bytes of the newest revisions
 *                    revision:u48 01 -> entries whose held value it changed besides those it names, as length:u16 name
 */
export const LAYOUT_VERSION = 1;
export const META = {
  layout: Buffer.from('layout'),
  position: Buffer.from('position'),
  head: Buffer.from('head'),
} as const;

/**
 * So many keys and applications are listed as changed. A gateway worker serves nothing while it reads them, and what it
 * remembers of more than these is sooner forgotten as a whole.
 */
export const LISTED = 500;

const hex32 = z.string().regex(/^[0-9a-f]{64}$/);

/** Where the state stands, written in the transaction that brought it there. */
export const storedPosition = z.strictObject({
  environment: environmentId,
  epoch: z.int().min(0),
  /** 0: no revision was applied yet */
  revision: z.int().min(0),
  hash: hex32,
  root: hex32,
  /** milliseconds since 1970, by the master's clock; of the revision */
  issuedAt: z.int().min(0),
  /** milliseconds since 1970, by this machine's clock */
  appliedAt: z.int().min(0),
  /** the oldest revision in `deltas`, and the bytes of all of them */
  firstDelta: z.int().min(1),
  deltaBytes: z.int().min(0),
  /** how many times entries were mended */
  repairs: z.int().min(0).default(0),
});
export type StoredPosition = z.infer<typeof storedPosition>;

/** The newest head that was verified: what a restart must not go behind, and how long the state counts as fresh. */
export const knownHead = z.strictObject({
  epoch: z.int().min(0),
  revision: z.int().min(0),
  hash: hex32,
  issuedAt: z.int().min(0),
  expiresAt: z.int().min(0),
  /** the head itself, signature included, for peers */
  text: z.string().max(LIMITS.headBytes).optional(),
  /** the newest epoch of which two masters have made revisions, as far as this replica has seen */
  forkedEpoch: z.int().min(0).optional(),
});
export type KnownHead = z.infer<typeof knownHead>;

/** How an entry is named in `entries` and `held`, which keeps a table's entries together and in the order of keys. */
export function entryName(table: number, key: Buffer): Buffer {
  const name = Buffer.allocUnsafe(1 + key.length);
  name.writeUInt8(table, 0);
  key.copy(name, 1);
  return name;
}

/** The range of all names of a table: from (inclusive) and to (exclusive). */
export function tableRange(table: number): { start: Buffer; end: Buffer } {
  return { start: Buffer.of(table), end: Buffer.of(table + 1) };
}

export function bucketName(bucket: number): Buffer {
  const name = Buffer.allocUnsafe(2);
  name.writeUInt16BE(bucket, 0);
  return name;
}

export function deltaName(revision: number): Buffer {
  const name = Buffer.allocUnsafe(6);
  name.writeUIntBE(revision, 0, 6);
  return name;
}

export function touchedName(revision: number): Buffer {
  return Buffer.concat([deltaName(revision), Buffer.of(1)]);
}

export function encodeNames(names: readonly Buffer[]): Buffer {
  return Buffer.concat(
    names.flatMap((name) => {
      const length = Buffer.allocUnsafe(2);
      length.writeUInt16BE(name.length, 0);
      return [length, name];
    }),
  );
}

export function decodeNames(bytes: Buffer): Buffer[] {
  const names: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 2 + bytes.readUInt16BE(at);
    names.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return names;
}
