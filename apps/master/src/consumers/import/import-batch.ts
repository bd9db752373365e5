import { randomUUID } from 'node:crypto';
import { fail, type HelioError } from '#model';
import type { EntityManager } from 'typeorm';
import { applicationMark } from '../../publishing/index.js';
import type { WriteTx } from '../../writes/write-tx.js';
import { environmentsOf, lockApplications } from '../applications.service.js';
import { insertSubscription } from '../subscriptions.service.js';
import { importKeys } from './import-keys.js';
import type { ApplicationLine, ImportLine, SubscriptionLine } from './import-lines.js';
import { type LineOutcome, noSuchApplication, type Placed } from './line-outcome.js';

/**
 * Applies a batch in one transaction, set by set: applications, then subscriptions, then keys. A line that cannot be
 * applied answers with its own error and leaves the others alone.
 */
export async function applyBatch(tx: WriteTx, lines: readonly ImportLine[]): Promise<LineOutcome[]> {
  const outcomes: LineOutcome[] = [];
  const of = <K extends ImportLine['kind']>(kind: K): Placed<Extract<ImportLine, { kind: K }>>[] =>
    lines.flatMap((line, index) =>
      line.kind === kind ? [{ index, line: line as Extract<ImportLine, { kind: K }> }] : [],
    );
  const applications = of('application');
  await importApplications(tx, applications, outcomes);
  const concerned = lines.map((line) => (line.kind === 'application' ? line.id : line.application));
  const known = new Set((await lockApplications(tx.manager, concerned)).keys());
  await importSubscriptions(tx, of('subscription'), known, outcomes);
  await importKeys(tx, of('key'), known, outcomes);
  const made = outcomes.filter((outcome) => outcome.ok && outcome.outcome !== 'unchanged').length;
  if (made > 0)
    tx.audit({
      action: 'import.batch',
      target: 'import/batch',
      after: {
        lines: lines.length,
        written: made,
        ids: outcomes.flatMap((o) => (o.ok && o.outcome !== 'unchanged' ? [o.id] : [])),
      },
    });
  return outcomes;
}

async function importApplications(
  tx: WriteTx,
  lines: Placed<ApplicationLine>[],
  outcomes: LineOutcome[],
): Promise<void> {
  if (lines.length === 0) return;
  const last = new Map(lines.map((placed) => [placed.line.id, placed.line])); // of two lines with one id the later one counts
  const rows: { id: string; created: boolean }[] = await tx.manager.query(
    `INSERT INTO application AS a (id, name, owner)
     SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[]) AS t(id, name, owner) ORDER BY id
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, owner = excluded.owner, version = a.version + 1, updated_at = now()
       WHERE (a.name, a.owner) IS DISTINCT FROM (excluded.name, excluded.owner)
     RETURNING id, (xmax = 0) AS created`,
    [
      [...last.keys()],
      [...last.values()].map((line) => line.name),
      [...last.values()].map((line) => line.owner ?? null),
    ],
  );
  const written = new Map(rows.map((row) => [row.id, row.created]));
  for (const [id, created] of written) {
    if (!created) tx.mark(await environmentsOf(tx.manager, id), applicationMark(id));
  }
  for (const { index, line } of lines) {
    const created = written.get(line.id);
    outcomes[index] = {
      ok: true,
      id: line.id,
      outcome: created === undefined ? 'unchanged' : created ? 'created' : 'updated',
    };
  }
}

async function importSubscriptions(
  tx: WriteTx,
  lines: Placed<SubscriptionLine>[],
  known: Set<string>,
  outcomes: LineOutcome[],
): Promise<void> {
  if (lines.length === 0) return;
  const existing = await subscriptionsOf(tx.manager, lines);
  for (const { index, line } of lines) {
    const { application, api, plan } = line;
    if (!known.has(application)) {
      outcomes[index] = { ok: false, error: noSuchApplication(application) };
      continue;
    }
    const found = existing.get(`${application} ${api}`);
    if (found) {
      outcomes[index] =
        found.plan === plan
          ? { ok: true, id: found.id, outcome: 'unchanged' }
          : {
              ok: false,
              error: fail(
                'conflict',
                `the application is subscribed to ${api} on the plan "${found.plan}"; an import does not move subscriptions`,
              ),
            };
      continue;
    }
    try {
      const view = await insertSubscription(tx, randomUUID(), { application, api, plan });
      existing.set(`${application} ${api}`, { id: view.id, plan });
      outcomes[index] = { ok: true, id: view.id, outcome: 'created' };
    } catch (error) {
      // checks that come before the insert: the transaction is still good
      if (!(error instanceof Error) || !('fields' in error)) throw error;
      outcomes[index] = { ok: false, error: error as HelioError };
    }
  }
}

async function subscriptionsOf(
  manager: EntityManager,
  lines: Placed<SubscriptionLine>[],
): Promise<Map<string, { id: string; plan: string }>> {
  const rows: { id: string; application_id: string; api_id: string; plan_id: string }[] = await manager.query(
    'SELECT id, application_id, api_id, plan_id FROM subscription WHERE application_id = ANY ($1::uuid[])',
    [[...new Set(lines.map(({ line }) => line.application))]],
  );
  return new Map(rows.map((row) => [`${row.application_id} ${row.api_id}`, { id: row.id, plan: row.plan_id }]));
}
