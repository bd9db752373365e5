import { z } from 'zod';
import { apiId, digestHex } from './ids.js';

/** Upper bounds of the latency buckets in milliseconds; one more bucket counts what took longer. They are part of the protocol. */
export const LATENCY_BOUNDS_MS = [
  1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 10_000, 30_000,
] as const;
const LATENCY_BUCKETS = LATENCY_BOUNDS_MS.length + 1;

const count = z.int().min(0);

/** What a replica has counted of one release of an API since its process began. Numbers only grow. */
export const releaseCount = z.strictObject({
  api: apiId,
  release: digestHex,
  /** that were answered; not what the gateway refused its caller (401, 403, 429 ...), and what the caller broke off */
  requests: count,
  /** of them with a status of 500 and above */
  errors: count,
  /** of them by the time to the last byte of the answer */
  latency: z.array(count).length(LATENCY_BUCKETS, `must have ${LATENCY_BUCKETS} buckets`),
});
export type ReleaseCount = z.infer<typeof releaseCount>;

/** Releases that one report names at the most, so that it fits into one message beside all else; more of them take turns. */
export const MOST_RELEASE_COUNTS = 250;

/** Part of a replica's status every 5 s. One may get lost, the next makes up for it: numbers are since the process began. */
export const releaseNumbers = z.object({
  /** tells one process of a replica from the next: after another one begins, numbers begin at 0 */
  boot: z.string().regex(/^[0-9a-f]{16}$/, 'must be 16 hexadecimal digits'),
  counts: z.array(releaseCount).max(MOST_RELEASE_COUNTS),
});
export type ReleaseNumbersReport = z.infer<typeof releaseNumbers>;
