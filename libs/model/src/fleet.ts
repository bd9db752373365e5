import { z } from 'zod';
import { environmentId, regionId, replicaId } from './ids.js';
import { releaseNumbers } from './release-numbers.js';

export const SYNC_STATES = ['booting', 'catching-up', 'live', 'polling', 'isolated', 'halted'] as const;
export type SyncState = (typeof SYNC_STATES)[number];

/** Counts terms of office; as far as PostgreSQL's integer and the four bytes of a header both go. */
export const epoch = z.int32().min(0);
const hex64 = z.string().regex(/^[0-9a-f]{64}$/);

export const nack = z.strictObject({
  table: z.string().max(64),
  key: z.string().max(512),
  revision: z.int().min(0),
  code: z.string().max(64),
  detail: z.string().max(2000),
});
/** An item of a revision that this replica cannot use; the last good one goes on serving. */
export type Nack = z.infer<typeof nack>;

/** What a replica says of itself: its `GET /status`, and what it reports to the master. */
export const replicaStatus = z.object({
  replica: replicaId,
  region: regionId,
  environment: environmentId,
  build: z.string().max(64),
  state: z.enum(SYNC_STATES),
  /** ISO 8601: since when it has been in this state */
  since: z.string().max(40).optional(),
  source: z.enum(['store', 'stream', 'peer', 'none']),
  freshness: z.enum(['fresh', 'stale']),
  epoch,
  /** with epoch, hash and root: the newest one that all of its gateway workers serve; without a worker, that is on its disk */
  revision: z.int().min(0),
  hash: hex64.nullable(),
  root: hex64.nullable(),
  /** the newest revision that this replica has heard of */
  head: z.int().min(0),
  /** from the issue of the loaded revision to when it was loaded here, by the two machines' clocks */
  lagMs: z.number().nullable(),
  throttle: z.enum(['shared', 'local']),
  /** answers of the last half minute, and of them those with 500 and above */
  traffic: z.object({ requestsPerSecond: z.number().min(0), errorsPerSecond: z.number().min(0) }).optional(),
  nacks: z.array(nack).max(100),
  /** to the master only, now and then; what an older master does not know it leaves out */
  numbers: releaseNumbers.optional(),
  lastError: z
    .strictObject({ code: z.string().max(64), detail: z.string().max(2000), at: z.string().max(40) })
    .nullable(),
});
export type ReplicaStatus = z.infer<typeof replicaStatus>;
