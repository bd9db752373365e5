import { randomUUID } from 'node:crypto';
import { fail, type HelioError, KEY_ID_BYTES } from '#model';
import type { EntityManager } from 'typeorm';
import { plainArray } from '../../database/arrays.js';
import { keyMark } from '../../publishing/index.js';
import type { WriteTx } from '../../writes/write-tx.js';
import type { KeyLine } from './import-lines.js';
import { type LineOutcome, noSuchApplication, type Placed, reference } from './line-outcome.js';

interface KnownKey {
  id: string;
  application: string;
  scopes: string[] | null;
  ips: string[] | null;
  expiresAt: Date | null;
}

/** Keys of a batch, by their hashes. A key that is there is left as it is. */
export async function importKeys(
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
    else if (found) {
      const error = otherThan(found, line);
      outcomes[index] = error ? { ok: false, error } : { ok: true, id: found.id, outcome: 'unchanged' };
    } else {
      const id = randomUUID();
      fresh.push({ ...line, id });
      existing.set(name, { ...line, id });
      outcomes[index] = { ok: true, id, outcome: 'created' };
    }
  }
  if (fresh.length === 0) return;
  await manager.query(
    `INSERT INTO api_key (id, application_id, environment_id, hash, name, expires_at, scopes, ips, created_by)
     SELECT k.id, k.application, k.environment, k.hash, k.name, k.expires_at, k.scopes::text[], k.ips::text[], $9
     FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::timestamptz[], $7::text[], $8::text[])
       AS k (id, application, environment, hash, name, expires_at, scopes, ips)`,
    [
      plainArray(fresh.map((key) => key.id)),
      plainArray(fresh.map((key) => key.application)),
      plainArray(fresh.map((key) => key.environment)),
      fresh.map((key) => key.hash),
      fresh.map((key) => key.name),
      fresh.map((key) => key.expiresAt),
      fresh.map(({ scopes }) => scopes && plainArray(scopes)),
      fresh.map(({ ips }) => ips && plainArray(ips)),
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
    scopes: string[] | null;
    ips: string[] | null;
  }[] = await manager.query(
    `SELECT k.id, k.application_id, k.environment_id, k.chain_id, k.expires_at, k.scopes, k.ips
     FROM unnest($1::text[], $2::bytea[]) AS t(environment_id, chain_id) JOIN api_key k USING (environment_id, chain_id)`,
    [
      plainArray(lines.map(({ line }) => line.environment)),
      lines.map(({ line }) => line.hash.subarray(0, KEY_ID_BYTES)),
    ],
  );
  return new Map(
    rows.map((row) => [
      `${row.environment_id} ${row.chain_id.toString('latin1')}`,
      { id: row.id, application: row.application_id, expiresAt: row.expires_at, scopes: row.scopes, ips: row.ips },
    ]),
  );
}

/** What a line says otherwise of a key that is there. An import that changed it would undo what was done since: a rotation, for instance. */
function otherThan(key: KnownKey, line: KeyLine): HelioError | null {
  if (line.expiresAt && line.expiresAt.getTime() !== key.expiresAt?.getTime())
    return other('expiresAt', key.expiresAt ? `expires at ${key.expiresAt.toISOString()}` : 'never expires');
  if (line.scopes && !sameSet(line.scopes, key.scopes)) return other('scopes', 'has other scopes');
  if (line.ips && !sameSet(line.ips, key.ips)) return other('ips', 'has other addresses');
  return null;
}

function sameSet(a: readonly string[], b: readonly string[] | null): boolean {
  return a.length === b?.length && a.every((one) => b.includes(one));
}

function other(field: string, is: string): HelioError {
  const problem = `the key is there and ${is}; an import changes no key`;
  return fail('conflict', problem, { fields: [{ field, problem, expected: 'leave it out, or change the key' }] });
}
