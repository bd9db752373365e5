import { randomUUID } from 'node:crypto';
import { HelioError } from '#model';
import {
  deleteApplication,
  insertApplications,
  lockApplications,
  updateApplications,
} from '../consumers/applications.service.js';
import { insertPlans, lockPlan, planExists, updatePlan } from '../consumers/plans.service.js';
import {
  deleteSubscriptions,
  insertSubscriptions,
  moveSubscriptions,
  subscriptionsOf,
} from '../consumers/subscription-rows.js';
import type { DocumentOf } from './documents.js';
import { each, type Gone, isChanged, type Kept, type Write } from './writing.js';

export const writePlans: Write<Kept> = async (writing, changes) => {
  const fresh = changes.filter(({ found }) => !found);
  const made = await insertPlans(
    writing.tx,
    fresh.map(({ wanted: { document } }) => document as DocumentOf<'plan'>),
  );
  const known = new Set(made.map(({ id }) => id));
  for (const { id, at } of fresh) if (!known.has(id)) writing.faults.addError(planExists(id), at);
  await changePlans(
    writing,
    changes.filter(({ found }) => found),
  );
};

const changePlans = each<Kept>(async ({ tx }, change) => {
  if (isChanged(change)) await updatePlan(tx, await lockPlan(tx.manager, change.id), change.wanted.fields);
});

export const writeApplications: Write<Kept> = async ({ tx, faults }, changes) => {
  const fresh = changes.filter(({ found }) => !found);
  const made = await insertApplications(
    tx,
    fresh.map(({ wanted: { key, document } }) => ({ ...(document as DocumentOf<'application'>), id: key })),
  );
  const known = new Set(made.map(({ id }) => id));
  for (const { wanted, id, at } of fresh)
    if (!known.has(wanted.key))
      faults.add(at, `the application "${id}" has just been made`, { expected: 'apply again' });
  const due = changes.filter((change) =>
    change.found ? isChanged(change) : change.wanted.fields.status === 'suspended',
  );
  const rows = await lockApplications(
    tx.manager,
    due.map(({ wanted }) => wanted.key),
  );
  await updateApplications(
    tx,
    due.flatMap(({ wanted: { key, fields } }) => {
      const row = rows.get(key);
      return row ? [{ row, change: fields }] : [];
    }),
  );
};

export const deleteApplications = each<Gone>(({ tx }, { found }) => deleteApplication(tx, found.key));

export const writeSubscriptions: Write<Kept> = async ({ tx, faults }, changes) => {
  const all = changes.map((change) => ({ ...change, ...pairOf(change.wanted.key), plan: planOf(change) }));
  const known = await lockApplications(
    tx.manager,
    all.map(({ application }) => application),
  );
  for (const { application, at } of all)
    if (!known.has(application))
      faults.add(`${at}/application`, 'there is no such application', {
        expected: 'one that there is or a document declares',
      });
  const due = all.filter((one) => known.has(one.application) && isChanged(one));
  const fresh = due.filter(({ found }) => !found);
  const items = fresh.map(({ application, api, plan }) => ({ id: randomUUID(), application, api, plan }));
  const rows = new Map((await subscriptionsOf(tx.manager, due)).map((row) => [`${row.application}/${row.api}`, row]));
  const moved = due.flatMap((one) => {
    const row = one.found && rows.get(one.wanted.key);
    return row ? [{ at: one.at, row, plan: one.plan }] : [];
  });
  const told = (outcomes: readonly unknown[], of: readonly { at: string }[]): void =>
    outcomes.forEach((outcome, n) => {
      if (outcome instanceof HelioError) faults.addError(outcome, of[n]?.at ?? '');
    });
  if (items.length > 0) told(await insertSubscriptions(tx, items), fresh);
  if (moved.length > 0) told(await moveSubscriptions(tx, moved), moved);
};

export const removeSubscriptions: Write<Gone> = async ({ tx }, changes) => {
  const pairs = changes.map(({ found }) => pairOf(found.key));
  await lockApplications(
    tx.manager,
    pairs.map(({ application }) => application),
  );
  await deleteSubscriptions(tx, await subscriptionsOf(tx.manager, pairs));
};

function planOf({ wanted: { document } }: Kept): string {
  return (document as DocumentOf<'subscription'>).plan;
}

/** A UUID has no slash. */
function pairOf(key: string): { application: string; api: string } {
  const [application = '', api = ''] = key.split('/');
  return { application, api };
}
