import type { ToMaster } from '#model';
import type { Standing } from '../publishing/standing.js';

export type Follow = Extract<ToMaster, { type: 'follow' }>;

export type Intent =
  | { intent: 'none' }
  | { intent: 'changes' }
  | { intent: 'full'; reason: 'too_far_behind' | 'fork' | 'ahead'; detail: string };

const NOTHING = '0'.repeat(64);

/**
 * What a replica that stands at `follow` is to do.
 *
 * @param own the hash that this master knows of that revision, in hexadecimal; null: it has none
 * @param maxBacklog revisions
 */
export function decideIntent(follow: Follow, standing: Standing, own: string | null, maxBacklog: number): Intent {
  const { environment, epoch, revision } = standing;
  if (follow.revision > revision) {
    return full('ahead', `the replica has revision ${follow.revision} of ${environment}, this master ${revision}`);
  }
  const known = follow.revision === 0 ? NOTHING : own;
  if (known !== null && known !== follow.hash) {
    return full(
      'fork',
      `revision ${follow.revision} of ${environment} has the hash ${known} here, and ${follow.hash} at the replica`,
    );
  }
  if (follow.epoch > epoch) {
    return full('ahead', `the replica knows of epoch ${follow.epoch} of ${environment}, this master of ${epoch}`);
  }
  const behind = revision - follow.revision;
  if (known === null || behind > maxBacklog) {
    return full(
      'too_far_behind',
      `${behind} revisions are missing; this master sends at most ${maxBacklog}, as far as it has them`,
    );
  }
  return behind === 0 ? { intent: 'none' } : { intent: 'changes' };
}

function full(reason: 'too_far_behind' | 'fork' | 'ahead', detail: string): Intent {
  return { intent: 'full', reason, detail };
}
