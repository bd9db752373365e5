import { fail, type HelioError } from '#model';
import type { EntityManager } from 'typeorm';
import { plainArray } from '../database/arrays.js';
import type { SubscriptionRow } from '../database/entities.js';
import { applicationMark } from '../publishing/index.js';
import type { WriteTx } from '../writes/write-tx.js';
import { environmentsOfEach } from './applications.service.js';
import type { SubscriptionView } from './subscriptions.endpoints.js';

export interface SubscriptionFields {
  application: string;
  api: string;
  plan: string;
}

// Whoever calls what writes here holds the locks of the applications. Thousands may come together: a statement is for all of them.

const COLUMNS = `s.id, s.application_id AS application, s.api_id AS api, s.plan_id AS plan, s.version,
  s.created_at AS "createdAt", s.updated_at AS "updatedAt"`;

/** @param items no two of one application and API @returns in their order: what was made, or why it was not */
export async function insertSubscriptions(
  tx: WriteTx,
  items: readonly (SubscriptionFields & { id: string })[],
): Promise<(SubscriptionRow | HelioError)[]> {
  const { manager } = tx;
  const refusals = await refusalsOf(manager, items);
  const fresh = items.filter((_, at) => !refusals[at]);
  const rows: SubscriptionRow[] = await manager.query(
    `INSERT INTO subscription AS s (id, application_id, api_id, plan_id)
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) RETURNING ${COLUMNS}`,
    columnsOf(fresh),
  );
  await markAll(tx, rows);
  for (const row of rows) {
    const after = subscriptionViewOf(row);
    tx.audit({ action: 'subscription.create', target: `subscription/${row.id}`, after });
  }
  return inOrder(items, refusals, rows);
}

/** @returns in the order of `moves`: what became of it, or why it stays as it is */
export async function moveSubscriptions(
  tx: WriteTx,
  moves: readonly { row: SubscriptionRow; plan: string }[],
): Promise<(SubscriptionRow | HelioError)[]> {
  const before = new Map(moves.map(({ row }) => [row.id, row]));
  const items = moves.map(({ row, plan }) => ({ ...row, plan }));
  const refusals = await refusalsOf(tx.manager, items, true);
  const good = items.filter((_, at) => !refusals[at]);
  // to move it to where it is is no other version
  const [rows]: [SubscriptionRow[], number] = await tx.manager.query(
    `UPDATE subscription s SET plan_id = m.plan, version = s.version + (s.plan_id <> m.plan)::integer,
       updated_at = CASE WHEN s.plan_id = m.plan THEN s.updated_at ELSE now() END
     FROM unnest($1::uuid[], $2::text[]) AS m(id, plan) WHERE s.id = m.id RETURNING ${COLUMNS}`,
    [plainArray(good.map(({ id }) => id)), plainArray(good.map(({ plan }) => plan))],
  );
  await markAll(tx, rows);
  for (const row of rows) {
    const was = before.get(row.id);
    tx.audit({
      action: 'subscription.update',
      target: `subscription/${row.id}`,
      before: was && subscriptionViewOf(was),
      after: subscriptionViewOf(row),
    });
  }
  return inOrder(items, refusals, rows);
}

export async function deleteSubscriptions(tx: WriteTx, rows: readonly SubscriptionRow[]): Promise<void> {
  await tx.manager.query('DELETE FROM subscription WHERE id = ANY ($1::uuid[])', [
    plainArray(rows.map(({ id }) => id)),
  ]);
  await markAll(tx, rows);
  for (const row of rows) {
    const before = subscriptionViewOf(row);
    tx.audit({ action: 'subscription.delete', target: `subscription/${row.id}`, before });
  }
}

/** Those that there are of applications to APIs, in no order. */
export function subscriptionsOf(
  manager: EntityManager,
  pairs: readonly Pick<SubscriptionFields, 'application' | 'api'>[],
): Promise<SubscriptionRow[]> {
  return manager.query(
    `SELECT ${COLUMNS} FROM unnest($1::uuid[], $2::text[]) AS p(application, api)
     JOIN subscription s ON s.application_id = p.application AND s.api_id = p.api`,
    [plainArray(pairs.map(({ application }) => application)), plainArray(pairs.map(({ api }) => api))],
  );
}

export function subscriptionViewOf(row: SubscriptionRow): SubscriptionView {
  return {
    id: row.id,
    application: row.application,
    api: row.api,
    plan: row.plan,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

async function markAll(tx: WriteTx, rows: readonly SubscriptionRow[]): Promise<void> {
  const environments = await environmentsOfEach(
    tx.manager,
    rows.map(({ application }) => application),
  );
  for (const [application, of] of environments) tx.mark(of, applicationMark(application));
}

function columnsOf(items: readonly (SubscriptionFields & { id: string })[]): string[] {
  const fields = ['id', 'application', 'api', 'plan'] as const;
  return fields.map((field) => plainArray(items.map((item) => item[field])));
}

function inOrder(
  items: readonly { id: string }[],
  refusals: readonly (HelioError | null)[],
  rows: readonly SubscriptionRow[],
): (SubscriptionRow | HelioError)[] {
  const written = new Map(rows.map((row) => [row.id, row]));
  return items.map(({ id }, at) => {
    const outcome = refusals[at] ?? written.get(id);
    if (!outcome) throw new Error(`the subscription ${id} is gone while its application is locked`);
    return outcome;
  });
}

interface Checked {
  api: boolean;
  plan: boolean;
  offered: boolean;
  existing: string | null;
  existingPlan: string | null;
}

/** The plan exists (and stays while we write), the API has a release that offers it, and there is no subscription yet. @param exists it is there */
async function refusalsOf(
  manager: EntityManager,
  items: readonly (SubscriptionFields & { id: string })[],
  exists = false,
): Promise<(HelioError | null)[]> {
  const plans = plainArray([...new Set(items.map(({ plan }) => plan))]);
  await manager.query('SELECT FROM plan WHERE id = ANY ($1::text[]) ORDER BY id FOR KEY SHARE', [plans]);
  const [, ...names] = columnsOf(items);
  const rows: Checked[] = await manager.query(CHECK, names);
  const wanting = items.filter((_, at) => rows[at]?.api && !rows[at]?.offered).map(({ api }) => api);
  const offers = wanting.length > 0 ? await plansOf(manager, wanting) : new Map<string, string[]>();
  return items.map((item, at) => {
    const row = rows[at];
    if (!row) throw new Error('a check of subscriptions answered for fewer than there are');
    const refusal = refusalOf(item, row, offers.get(item.api));
    if (refusal || exists || row.existing === null) return refusal;
    return fail(
      'conflict',
      `the application is subscribed to ${item.api} already, on the plan "${row.existingPlan}": subscription ${row.existing}`,
    );
  });
}

const CHECK = `
  SELECT a.id IS NOT NULL AS api, p.id IS NOT NULL AS plan, s.id AS existing, s.plan_id AS "existingPlan",
    EXISTS (SELECT FROM release r WHERE r.api_id = i.api AND i.plan = ANY (r.plans)) AS offered
  FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS i(application, api, plan, n)
  LEFT JOIN api a ON a.id = i.api LEFT JOIN plan p ON p.id = i.plan
  LEFT JOIN subscription s ON s.application_id = i.application AND s.api_id = i.api
  ORDER BY i.n`;

function refusalOf(
  { api, plan }: SubscriptionFields,
  known: Checked,
  plans: readonly string[] | undefined,
): HelioError | null {
  const missing = (field: 'api' | 'plan', problem: string): HelioError =>
    fail('unknown_reference', problem, { fields: [{ field, problem }] });
  if (!known.api) return missing('api', `there is no API "${api}"`);
  if (!known.plan) return missing('plan', `there is no plan "${plan}"`);
  if (known.offered) return null;
  const offers = plans ? `its releases offer ${plans.join(', ')}` : `make a release whose plans name "${plan}" first`;
  return fail('unknown_reference', `the API ${api} does not offer the plan "${plan}"; ${offers}`, {
    fields: [{ field: 'plan', problem: `is not offered by ${api}`, expected: offers }],
  });
}

/** What releases of APIs offer; without those that offer nothing. */
async function plansOf(manager: EntityManager, apis: readonly string[]): Promise<Map<string, string[]>> {
  const rows: { api: string; plans: string[] }[] = await manager.query(
    `SELECT r.api_id AS api, array_agg(DISTINCT p ORDER BY p) AS plans FROM release r, unnest(r.plans) p
     WHERE r.api_id = ANY ($1::text[]) GROUP BY 1`,
    [plainArray([...new Set(apis)])],
  );
  return new Map(rows.map(({ api, plans }) => [api, plans]));
}
