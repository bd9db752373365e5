/** When snapshots are made, and what is kept. */
export interface StoreRules {
  /** A snapshot is made when the deltas since the last one have more bytes than it has itself, and more than this ... */
  snapshotBytes: number;
  /** ... or when there are so many of them. */
  snapshotRevisions: number;
  /** How long everything stays that a head has promised which is not the newest any more, in milliseconds. */
  keepMs: number;
  /** Content of a snapshot that is held in memory at a time; a larger state is read in several passes, each of some of the buckets. */
  passBytes: number;
  /** How often it is looked for what nobody needs, in milliseconds; besides, after each snapshot. */
  collectMs: number;
}

export const STORE_RULES: StoreRules = {
  snapshotBytes: 4 * 1024 * 1024,
  snapshotRevisions: 10_000,
  keepMs: 3_600_000,
  collectMs: 900_000,
  passBytes: 64 * 1024 * 1024,
};
