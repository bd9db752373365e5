import { randomUUID } from 'node:crypto';
import { fail, type HelioError, KEY_ID_BYTES } from '#model';
import type { EntityManager } from 'typeorm';
import { plainArray } from '../../database/arrays.js';
import { applicationMark, keyMark } from '../../publishing/index.js';
import type { WriteTx } from '../../writes/write-tx.js';
import { environmentsOf } from '../applications.service.js';
import { insertSubscription } from '../subscriptions.service.js';
import type { ApplicationLine, ImportLine, KeyLine, SubscriptionLine } from './import-lines.js';

export type LineOutcome =
  | { ok: true; outcome: 'created' | 'updated' | 'unchanged'; id: string }
  | { ok: false; error: HelioError };

/** Lines of one transaction, with their places in the batch. */
type Placed<T> = { index: number; line: T };

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
  const known = await lockAll(tx.manager, lines);
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

/** Locks the applications that the batch concerns, in one order, and says which exist. */
async function lockAll(manager: EntityManager, lines: readonly ImportLine[]): Promise<Set<string>> {
  const ids = [...new Set(lines.map((line) => (line.kind === 'application' ? line.id : line.application)))];
  const rows: { id: string }[] = await manager.query(
    'SELECT id FROM application WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE',
    [plainArray(ids)],
  );
  return new Set(rows.map((row) => row.id));
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

interface KnownKey {
  id: string;
  application: string;
  expiresAt: Date | null;
}

async function importKeys(
  tx: WriteTx,
  lines: Placed<KeyLine>[],
  known: Set<string>,
  outcomes: LineOutcome[],
): Promise<void> {
  if (lines.length === 0) return;
  const { manager } = tx;
  const rows: { id: string }[] = await manager.query('SELECT id FROM environment');
  const environments = new Set(rows.map((row) => row.id));
  const existing = await keysOf(manager, lines);
  const fresh: (KeyLine & { id: string })[] = [];
  for (const { index, line } of lines) {
    const name = `${line.environment} ${line.hash.toString('latin1', 0, KEY_ID_BYTES)}`;
    const found = existing.get(name);
    if (!known.has(line.application)) outcomes[index] = { ok: false, error: noSuchApplication(line.application) };
    else if (!environments.has(line.environment))
      outcomes[index] = { ok: false, error: reference('environment', `there is no environment "${line.environment}"`) };
    else if (found && found.application !== line.application)
      outcomes[index] = {
        ok: false,
        error: fail('conflict', `the key belongs to the application ${found.application} already`),
      };
    else if (found && line.expiresAt && line.expiresAt.getTime() !== found.expiresAt?.getTime())
      outcomes[index] = { ok: false, error: otherExpiry(found.expiresAt) };
    else if (found) outcomes[index] = { ok: true, id: found.id, outcome: 'unchanged' };
    else {
      const id = randomUUID();
      fresh.push({ ...line, id });
      existing.set(name, { id, application: line.application, expiresAt: line.expiresAt });
      outcomes[index] = { ok: true, id, outcome: 'created' };
    }
  }
  if (fresh.length === 0) return;
  await manager.query(
    `INSERT INTO api_key (id, application_id, environment_id, hash, name, expires_at, created_by)
     SELECT *, $7 FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::timestamptz[])`,
    [
      plainArray(fresh.map((key) => key.id)),
      plainArray(fresh.map((key) => key.application)),
      plainArray(fresh.map((key) => key.environment)),
      fresh.map((key) => key.hash),
      fresh.map((key) => key.name),
      fresh.map((key) => key.expiresAt),
      tx.caller.actor,
    ],
  );
  for (const key of fresh) tx.mark([key.environment], keyMark(key.hash.subarray(0, KEY_ID_BYTES)));
}

async function keysOf(manager: EntityManager, lines: Placed<KeyLine>[]): Promise<Map<string, KnownKey>> {
  const rows: {
    id: string;
    application_id: string;
    environment_id: string;
    chain_id: Buffer;
    expires_at: Date | null;
  }[] = await manager.query(
    `SELECT k.id, k.application_id, k.environment_id, k.chain_id, k.expires_at FROM unnest($1::text[], $2::bytea[]) AS t(environment_id, chain_id) JOIN api_key k USING (environment_id, chain_id)`,
    [
      plainArray(lines.map(({ line }) => line.environment)),
      lines.map(({ line }) => line.hash.subarray(0, KEY_ID_BYTES)),
    ],
  );
  return new Map(
    rows.map((row) => [
      `${row.environment_id} ${row.chain_id.toString('latin1')}`,
      { id: row.id, application: row.application_id, expiresAt: row.expires_at },
    ]),
  );
}

/** An import that moved expiries would bring keys back that were rotated since. */
function otherExpiry(at: Date | null): HelioError {
  const is = at ? `expires at ${at.toISOString()}` : 'never expires';
  const problem = `the key is there and ${is}; an import changes no key`;
  return fail('conflict', problem, {
    fields: [{ field: 'expiresAt', problem, expected: 'leave it out, or rotate the key' }],
  });
}

function noSuchApplication(id: string): HelioError {
  return reference('application', `there is no application "${id}"`);
}

function reference(field: string, problem: string): HelioError {
  return fail('unknown_reference', problem, { fields: [{ field, problem }] });
}
