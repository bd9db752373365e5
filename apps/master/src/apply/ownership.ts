import type { WriteTx } from '../writes/write-tx.js';
import type { Kind } from './documents.js';
import type { PlannedChange } from './planned.js';

/** Writes down whose things are: those that were made, and those that come over from another set or from nobody. */
export async function own(tx: WriteTx, set: string, changes: readonly PlannedChange[]): Promise<void> {
  const taken = changes.filter(
    ({ action, fields }) => action === 'create' || fields.some(({ path }) => path === '/set'),
  );
  for (const [kind, statement] of Object.entries(STATEMENTS) as [Kind, string][]) {
    const ours = taken.flatMap((change) => (change.kind === kind && change.wanted ? [change] : []));
    if (ours.length === 0) continue;
    const ids = NAMED.has(kind) ? [ours.map(({ id }) => id)] : [];
    await tx.manager.query(statement, [set, ours.map(({ wanted }) => wanted.key), ...ids]);
    for (const { wanted, found } of ours) {
      if (!found) continue;
      const target = `${kind}/${wanted.key}`;
      tx.audit({ action: `${kind}.adopt`, target, before: { set: found.set }, after: { set } });
    }
  }
}

/** Kinds whose ids are made of texts. */
export const NAMED: ReadonlySet<Kind> = new Set(['application', 'webhook']);

const byName = (table: string): string => `
  UPDATE ${table} t SET apply_set = $1, apply_id = nullif(o.id, t.id::text)
  FROM unnest($2::uuid[], $3::text[]) AS o(key, id) WHERE t.id = o.key`;
const byId = (table: string): string => `UPDATE ${table} SET apply_set = $1 WHERE id = ANY($2::text[])`;

const STATEMENTS: Record<Kind, string> = {
  environment: byId('environment'),
  region: byId('region'),
  plan: byId('plan'),
  api: byId('api'),
  application: byName('application'),
  subscription: `
    UPDATE subscription s SET apply_set = $1
    FROM unnest($2::text[]) AS o(key)
    WHERE s.application_id = split_part(o.key, '/', 1)::uuid AND s.api_id = split_part(o.key, '/', 2)`,
  'promotion-policy': 'UPDATE promotion_policy SET apply_set = $1 WHERE environment_id = ANY($2::text[])',
  webhook: byName('webhook'),
};
