import { fail } from '#model';
import type { NewEvent, PromotionEventData } from '../events/event-kinds.js';
import { addJob } from '../jobs/job-store.js';
import type { WriteTx } from '../writes/write-tx.js';
import { closeLocks, openLocks, placeWave, restoreAll } from './promotion-changes.js';
import {
  goesOnByItself,
  type PromotionInput,
  type PromotionState,
  statesFor,
  type Transition,
  transitionOf,
} from './promotion-machine.js';
import { type Because, lockPromotion, type PromotionRow } from './promotion-row.js';

export const PROMOTION_JOB = 'promotion';

/** Of the work that a state waits for. With the step, it is one job for each transition. */
export function jobOf({ id, step }: Pick<PromotionRow, 'id' | 'step'>): string {
  return `promotion.${id}.${step}`;
}

/**
 * Makes one transition, all of it in the caller's transaction: the state, the placements with their markers, the event, the
 * audit line, and the job that goes on with it. The row is locked.
 *
 * @returns the row as it is then
 * @throws HelioError `promotion_state` where the state does not allow it
 */
export async function movePromotion(
  tx: WriteTx,
  row: PromotionRow,
  input: PromotionInput,
  because: Because | null,
): Promise<PromotionRow> {
  const transition = transitionOf(row, input, {
    waves: row.waves.length,
    approved: row.approvedBy.length >= row.approvals,
  });
  if (!transition) throw wrongState(row, input);
  const done = await carryOut(tx, row, transition);
  if ('fault' in done) return movePromotion(tx, row, 'failed', { detail: done.fault, actor: null, gate: 'placement' });
  return write(tx, row, input, transition, because, done.xid);
}

async function carryOut(
  tx: WriteTx,
  row: PromotionRow,
  { effects, wave }: Transition,
): Promise<{ xid: string | null } | { fault: string }> {
  let { xid } = row;
  for (const effect of effects) {
    if (effect === 'place') {
      const placed = await placeWave(tx, row, wave, row.waves[wave - 1]?.regions ?? []);
      if ('fault' in placed) return placed;
      xid = placed.xid;
    } else if (effect === 'restore') xid = await restoreAll(tx, row, effects.includes('reopen'));
    else if (effect === 'reopen') await openLocks(tx.manager, row);
    else await closeLocks(tx.manager, row);
  }
  return { xid };
}

async function write(
  tx: WriteTx,
  row: PromotionRow,
  input: PromotionInput,
  { state, wave, effects }: Transition,
  because: Because | null,
  xid: string | null,
): Promise<PromotionRow> {
  const begins = effects.includes('place');
  await tx.manager.query(
    `UPDATE promotion SET state = $2, wave = $3, step = step + 1, because = $4::jsonb, xid = $5::bigint, state_since = clock_timestamp(),
       wave_since = CASE WHEN $6 THEN clock_timestamp() ELSE wave_since END,
       counted_since = CASE WHEN $6 OR $7 THEN clock_timestamp() ELSE counted_since END WHERE id = $1`,
    [row.id, state, wave, because && JSON.stringify(because), xid, begins, input === 'resume'],
  );
  const said = { input, wave, ...(begins ? { regions: row.waves[wave - 1]?.regions } : {}), because };
  tx.event(promotionEvent(row, state, said));
  tx.audit({
    action: `promotion.${input}`,
    target: `promotion/${row.id}`,
    before: { state: row.state, wave: row.wave },
    after: { state, wave, ...(because ? { because } : {}) },
  });
  const next = await lockPromotion(tx.manager, row.id);
  if (goesOnByItself(state)) await addJob(tx.manager, { id: jobOf(next), kind: PROMOTION_JOB, subject: row.id });
  return next;
}

/** @param state that it is in from now on */
export function promotionEvent(
  { id, environment, releases }: Pick<PromotionRow, 'id' | 'environment' | 'releases'>,
  state: PromotionState,
  said: Omit<PromotionEventData, 'releases'>,
): NewEvent {
  return { type: `promotion.${state}`, subject: `promotion/${id}`, environment, data: { ...said, releases } };
}

function wrongState({ id, state }: PromotionRow, input: PromotionInput): Error {
  const states = statesFor(input);
  const last = states.pop() ?? '';
  const allowed = states.length === 0 ? last : `${states.join(', ')} or ${last}`;
  return fail('promotion_state', `the promotion ${id} is ${state}; ${input} is for one that is ${allowed}`);
}
