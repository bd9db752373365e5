/** What changed in one entry between two revisions. */
export interface ChangedEntry {
  table: number;
  key: Buffer;
}

/** What changed between two revisions: complete for releases, placements and plans, which are what is compiled. */
export interface StateChanges {
  /** entries that differ, each once */
  entries: ChangedEntry[];
  /** false: so many keys and applications changed that the list does not name them all; any of them may have */
  complete: boolean;
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
  /** since what a snapshot had; null when it is too old to tell: then load everything */
  changesSince(revision: number, repairs?: number): StateChanges | null;
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
