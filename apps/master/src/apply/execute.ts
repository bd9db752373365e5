import { fail } from '#model';
import { applyPlacings, faultsOfPlacings, lockPlacements } from '../topology/placement-batch.js';
import { holdersOf } from '../topology/promotion-lock.js';
import { KINDS } from './documents.js';
import type { Plan, PlannedPlacing } from './planned.js';
import { DELETE, WRITE } from './write-kinds.js';
import type { Writing } from './writing.js';

/**
 * Writes what is planned by what single writes do it by: the same checks, marks and audit lines. What those checks find goes to
 * the faults, and it goes on: whoever is refused reads all of it. The caller rolls back then.
 */
export async function execute(writing: Writing, { changes, placings }: Plan, reason: string): Promise<void> {
  for (const kind of KINDS) {
    const kept = changes.flatMap((one) => (one.wanted && one.kind === kind && one.action !== 'unchanged' ? [one] : []));
    if (kept.length > 0) await WRITE[kind](writing, kept);
  }
  for (const [environment, items] of [...placings].sort(([a], [b]) => (a < b ? -1 : 1)))
    await place(writing, environment, items, reason);
  for (const kind of KINDS.toReversed()) {
    const gone = changes.flatMap((one) => (one.action === 'delete' && one.kind === kind ? [one] : []));
    if (gone.length > 0) await DELETE[kind](writing, gone);
  }
}

async function place(
  { tx, faults }: Writing,
  environment: string,
  items: readonly PlannedPlacing[],
  reason: string,
): Promise<void> {
  await lockPlacements(tx.manager, environment);
  const atOf = (api: string): string => items.find((item) => item.api === api)?.at ?? '/prune';
  const held = await holdersOf(tx.manager, environment, [...new Set(items.map(({ api }) => api))]);
  for (const { api, promotion } of held)
    faults.add(
      atOf(api),
      `the promotion ${promotion} of "${api}" in "${environment}" is open; abort it, or wait for its end`,
    );
  for (const { index, problem, expected } of await faultsOfPlacings(tx.manager, environment, items))
    faults.add(items[index]?.at ?? '', problem, { expected });
  if (!faults.none) return;
  const changed = await applyPlacings(
    tx,
    environment,
    items.map(({ api, region, release }) => ({ api, region, release })),
    reason,
  );
  const before = new Map(changed.map((one) => [`${one.api}@${one.region}`, one.before]));
  if (items.some((item) => before.get(`${item.api}@${item.region}`) !== item.before))
    throw fail('plan_changed', `placements in "${environment}" have just been changed; nothing was written`);
}
