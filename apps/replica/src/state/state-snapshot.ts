/** What changed in one entry between two revisions. */
export interface ChangedEntry {
  table: number;
  key: Buffer;
}

/**
 * One whole revision as this replica serves it, pinned: it does not change while it is open, whatever is applied
 * meanwhile. It shows the last good value of an item whose newest one could not be used.
 */
export interface StateSnapshot {
  readonly environment: string;
  readonly epoch: number;
  /** 0: no revision was ever applied */
  readonly revision: number;
  /** how many times entries were mended; with `revision` it tells whether there is anything new */
  readonly repairs: number;
  /** a copy, or null */
  get(table: number, key: Buffer): Buffer | null;
  /** in the order of keys */
  entries(table: number): Iterable<{ key: Buffer; value: Buffer }>;
  /** entries that differ from what a snapshot had, each once; null when it is too old to tell: then load everything */
  changesSince(revision: number, repairs?: number): ChangedEntry[] | null;
  /** frees the pages that it holds; it must not be used afterwards */
  close(): void;
}

/** Opens snapshots of the newest whole revision. Any number of processes may read while one writes. */
export interface StateReader {
  /** the newest revision on disk, cheap enough to ask often */
  revision(): number;
  repairs(): number;
  snapshot(): StateSnapshot;
  close(): Promise<void>;
}
