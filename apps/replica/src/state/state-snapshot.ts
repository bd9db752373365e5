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
  /** a copy, or null */
  get(table: number, key: Buffer): Buffer | null;
  /** in the order of keys */
  entries(table: number): Iterable<{ key: Buffer; value: Buffer }>;
  /** entries that differ from `revision`, each once; null when that is too long ago to tell: then load everything */
  changesSince(revision: number): ChangedEntry[] | null;
  /** frees the pages that it holds; it must not be used afterwards */
  close(): void;
}

/** Opens snapshots of the newest whole revision. Any number of processes may read while one writes. */
export interface StateReader {
  /** the newest revision on disk, cheap enough to ask often */
  revision(): number;
  snapshot(): StateSnapshot;
  close(): Promise<void>;
}
