import { fail } from '#model';
import { deleteApi, insertApi, lockContexts } from '../catalog/apis.service.js';
import { insertRelease } from '../catalog/releases.service.js';
import { deletePlan } from '../consumers/plans.service.js';
import { setPromotionPolicy } from '../promotions/promotion-policy.controller.js';
import { deleteEnvironment, insertEnvironment } from '../topology/environments.service.js';
import { lockPlacements } from '../topology/placement-batch.js';
import { deleteRegion, insertRegion } from '../topology/regions.service.js';
import { oneWebhook } from '../webhooks/webhook-rows.js';
import { OVERLAP_S } from '../webhooks/webhooks.endpoints.js';
import type { DocumentOf, Kind } from './documents.js';
import {
  deleteApplications,
  removeSubscriptions,
  writeApplications,
  writePlans,
  writeSubscriptions,
} from './write-consumers.js';
import { each, type Gone, isChanged, type Kept, type Write, type Writing } from './writing.js';

/** Writes things of a kind one by one, as single writes of them do. */
function oneByOne<K extends Kind>(
  write: (writing: Writing, document: DocumentOf<K>, change: Kept) => Promise<unknown>,
): Write<Kept> {
  return each((writing, change) => write(writing, change.wanted.document as DocumentOf<K>, change));
}

/** Makes and changes things. What only goes over to another set is not written here. */
export const WRITE: Record<Kind, Write<Kept>> = {
  environment: oneByOne<'environment'>(async ({ tx }, document, { found }) => found ?? insertEnvironment(tx, document)),
  region: oneByOne<'region'>(async ({ tx }, document, { found }) => found ?? insertRegion(tx, document)),
  plan: writePlans,
  api: async (writing, changes) => {
    if (changes.some(({ found }) => !found)) await lockContexts(writing.tx.manager);
    await writeApis(writing, changes);
  },
  application: writeApplications,
  subscription: writeSubscriptions,
  'promotion-policy': oneByOne<'promotion-policy'>(async ({ tx }, { environment, approvals }, change) => {
    if (change.found && !isChanged(change)) return;
    if (!(await lockPlacements(tx.manager, environment))) {
      const problem = `there is no environment "${environment}"`;
      throw fail('unknown_reference', problem, { fields: [{ field: 'environment', problem }] });
    }
    await setPromotionPolicy(tx, environment, approvals);
  }),
  webhook: oneByOne<'webhook'>(writeWebhook),
};

export const DELETE: Record<Kind, Write<Gone>> = {
  environment: each(({ tx }, { id }) => deleteEnvironment(tx, id)),
  region: each(({ tx }, { id }) => deleteRegion(tx, id)),
  plan: each(({ tx }, { id }) => deletePlan(tx, id)),
  api: each(({ tx }, { id }) => deleteApi(tx, id)),
  application: deleteApplications,
  subscription: removeSubscriptions,
  'promotion-policy': each(async ({ tx }, { id }) => {
    await lockPlacements(tx.manager, id);
    await setPromotionPolicy(tx, id, 0);
    await tx.manager.query('UPDATE promotion_policy SET apply_set = NULL WHERE environment_id = $1', [id]);
  }),
  webhook: each(({ tx, webhooks }, { found }) => webhooks.deleteIn(tx, found.key)),
};

const writeApis = oneByOne<'api'>(async ({ tx }, document, { id, found, wanted }) => {
  if (!found) await insertApi(tx, { ...document, context: wanted.fields.context as string });
  const { release } = wanted;
  const digest = release?.digest.toString('hex');
  if (!release || digest === found?.fields.release) return;
  if (await insertRelease(tx, id, release, release.from)) return;
  // an older one is declared again: from now on it counts as the newest
  await tx.manager.query('UPDATE release SET applied_at = now() WHERE digest = $1', [release.digest]);
  const before = { release: found?.fields.release ?? null };
  tx.audit({ action: 'api.apply', target: `api/${id}`, before, after: { release: digest } });
});

/** Of another secret receivers may learn for a day: until then the one before signs, too. */
async function writeWebhook(
  { tx, webhooks }: Writing,
  { kind: _, id: __, secret, ...document }: DocumentOf<'webhook'>,
  { found, wanted, fields }: Kept,
): Promise<void> {
  if (!found) {
    await webhooks.createIn(tx, document, { id: wanted.key, secret });
    return;
  }
  const changed = new Set(fields.map(({ path }) => path.split('/')[1]));
  const change = Object.fromEntries(Object.entries(document).filter(([field]) => changed.has(field)));
  let row = await oneWebhook(tx.manager, wanted.key, true);
  if (Object.keys(change).length > 0) row = await webhooks.updateIn(tx, row, change);
  if (changed.has('secret')) await webhooks.rotateIn(tx, row, OVERLAP_S, secret);
}
