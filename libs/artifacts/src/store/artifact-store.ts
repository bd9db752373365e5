/** An object as it was read: all of its bytes, and the tag that a later conditional call names it by. */
export interface StoredObject {
  bytes: Buffer;
  /** opaque; equal tags of one name mean equal bytes */
  etag: string;
}

export type Conditional = { kind: 'object'; object: StoredObject } | { kind: 'unchanged' } | { kind: 'missing' };

export type Replaced = { kind: 'replaced'; etag: string } | { kind: 'conflict' };

/** What a store was seen to honour; where one is false, it is imitated by looking first, and races are open. */
export interface StoreAbilities {
  createOnly: boolean;
  ifMatch: boolean;
}

/**
 * Where a chain's artifacts can be read: a store, or whatever passes them on. Names are computed (`names.ts`).
 *
 * Every call takes a bounded time (`store_timeout` past it), rejects with a `StoreError`, and ends early with the
 * signal's reason when the signal fires. Nothing that is read is believed before it was verified.
 */
export interface ArtifactReader {
  /** for logs and status, without secrets: `file:///dir`, `s3://bucket/prefix`, `http://host:port/chain` */
  readonly description: string;

  /** Null when there is no such object. One of more than `limitBytes` is `store_too_large`, and is not read. */
  get(name: string, limitBytes: number, signal?: AbortSignal): Promise<StoredObject | null>;

  /** As `get`, but an object that still has `etag` is not sent again. */
  getIfChanged(name: string, etag: string | null, limitBytes: number, signal?: AbortSignal): Promise<Conditional>;

  /** How many bytes an object has, without reading it; null when there is no such object. */
  size(name: string, signal?: AbortSignal): Promise<number | null>;

  /** Gives up connections. No call may follow; calls under way may fail. */
  close(): Promise<void>;
}

/**
 * Where a chain's artifacts lie.
 *
 * A write that failed with a retriable error, or was aborted, may have happened all the same: whoever repeats a
 * `create` can get 'exists' for its own bytes, whoever repeats a `replace` a conflict with itself. Both tell by reading.
 */
export interface ArtifactStore extends ArtifactReader {
  /** Never overwrites; no reader ever sees a part of it; durable when it resolves, with either answer. */
  create(name: string, bytes: Buffer, signal?: AbortSignal): Promise<'created' | 'exists'>;

  /**
   * Writes only if the object still has the tag `expected`, or with null if there is none; as atomic and durable as
   * `create`. A conflict means that somebody else wrote, or may have: read again.
   */
  replace(name: string, bytes: Buffer, expected: string | null, signal?: AbortSignal): Promise<Replaced>;

  /** Also resolves when there is no such object. Not ordered against a `replace` of the same name. */
  delete(name: string, signal?: AbortSignal): Promise<void>;

  /**
   * Names of objects directly in a folder, sorted, those after `after` ('' for all), at most `limit`. For garbage collection
   * only: nobody else needs it, and a store that is only read need not allow it.
   *
   * @param folder without a slash at its end
   */
  list(folder: string, after: string, limit: number, signal?: AbortSignal): Promise<string[]>;

  /** Tries out for real, under a scratch name that it removes, what the store honours. A few calls long. */
  probe(signal?: AbortSignal): Promise<StoreAbilities>;
}

/** code -> whether the same call can succeed later without anybody changing a setting */
const CODES = {
  /** no answer from it, an overloaded one, or the directory or bucket is not there */
  store_unreachable: true,
  /** credentials or permissions */
  store_denied: false,
  store_full: true,
  store_timeout: true,
  /** the object is larger than the caller is ready to read */
  store_too_large: false,
  /** no object can have that name, or no store that address */
  store_bad_name: false,
  store_failed: false,
} as const;

export type StoreErrorCode = keyof typeof CODES;

/** The message is for logs and status: it names the store and the object, and holds no secret. There is no `cause`. */
export class StoreError extends Error {
  constructor(
    readonly code: StoreErrorCode,
    message: string,
    readonly retriable: boolean = CODES[code],
  ) {
    super(message);
    this.name = 'StoreError';
  }
}
