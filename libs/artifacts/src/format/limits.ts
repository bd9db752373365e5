/**
 * Bounds of everything that is read from a store, a stream or a disk. They are checked before anything is allocated
 * for the content, and they are what the publisher keeps to when it cuts revisions.
 */
export const LIMITS = {
  /** bytes of one revision's body */
  bodyBytes: 64 * 1024 * 1024,
  /** changes in one revision */
  ops: 100_000,
  /** bytes of one entry's key */
  keyBytes: 512,
  /** bytes of one entry's value: a release with thousands of routes */
  valueBytes: 16 * 1024 * 1024,
  /** bytes of a head */
  headBytes: 4096,
  /** bytes of a segment, header included; one that would be larger is not made */
  segmentBytes: 16 * 1024 * 1024,
  /** changes in one segment */
  segmentOps: 400_000,
  /** bytes of a snapshot's manifest */
  manifestBytes: 70 * 1024,
  /** bytes of the content of one bucket of a snapshot */
  blobBytes: 64 * 1024 * 1024,
  /** entries in one bucket of a snapshot */
  blobEntries: 400_000,
} as const;

/** Why some bytes are not what they should be. `code` is stable and shown in a replica's status. */
export class FormatError extends Error {
  constructor(
    readonly code: ArtifactFault,
    detail: string,
  ) {
    super(detail);
    this.name = 'FormatError';
  }
}

export type ArtifactFault =
  | 'truncated'
  | 'malformed'
  | 'too_large'
  | 'unknown_format'
  | 'bad_hash'
  | 'bad_signature'
  | 'untrusted_key'
  | 'wrong_environment'
  | 'wrong_revision'
  | 'wrong_previous'
  | 'older_epoch'
  | 'reader_too_old'
  | 'wrong_root';
