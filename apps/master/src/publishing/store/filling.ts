import type { Query } from '../options.js';
import { GENESIS, type Position } from './store-head.js';
import { isSnapshotDue } from './store-keeper.js';
import { deltasBetween } from './store-ledger.js';
import type { StoreRules } from './store-rules.js';

export interface Filling {
  /** whether the store cannot, or should not, be filled delta by delta, and has to begin with a snapshot */
  begins: boolean;
  /** the deltas after this one are to be put */
  from: Position;
}

/**
 * Where to fill a store from that lost something: from the first revision on; or from a snapshot, where old deltas are not
 * kept any more, or would be more than it.
 *
 * @param has what the store has: no deltas up to `floor`, a `snapshot`, or nothing at all
 * @param target the newest revision
 */
export async function fillingOf(
  query: Query,
  environment: string,
  has: { floor: number; snapshot: boolean; anything: boolean },
  target: number,
  rules: StoreRules,
): Promise<Filling> {
  const { floor } = has;
  const [row] = await query<{ hash: Buffer; root: Buffer }>(
    'SELECT hash, root FROM revision WHERE environment_id = $1 AND revision = $2',
    [environment, floor],
  );
  const { bytes, count } = await deltasBetween(query, environment, floor, target);
  const isPossible = floor === 0 || (row !== undefined && has.snapshot);
  const isCheap = has.anything || !isSnapshotDue({ bytes, revisions: count }, 0, rules);
  // revisions that the database took over with a snapshot, and not one by one, cannot be filled in
  const begins = !isPossible || !isCheap || count !== target - floor;
  return { begins, from: !begins && row ? { revision: floor, ...row } : GENESIS };
}
