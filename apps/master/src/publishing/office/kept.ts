import { TABLE } from '#model';
import type { Revocation } from './revocation.js';

export const KEPT_REASON = 'revoked before the restore';

const listOf = (name: string): string =>
  `CASE WHEN jsonb_typeof(e.detail -> '${name}') = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(e.detail -> '${name}')) END AS ${name}`;

/** Items of `boundsOf` as rows: key, scopes, ips; null for a list that is not there. */
export const BOUNDS = `SELECT e.key, ${listOf('scopes')}, ${listOf('ips')} FROM unnest($3::bytea[], $4::jsonb[]) AS e (key, detail)`;

/**
 * Whether a list allows what the other one does not, where no list allows everything. Addresses are compared as they are written:
 * of a row with a smaller block than the chain's it says that it is wider, and then that is given what the chain had.
 */
export const wider = (list: string, than: string): string =>
  `(${than} IS NOT NULL AND (${list} IS NULL OR NOT ${list} <@ ${than}))`;

/** What each statement that keeps revocations ends with. `hit`: target, before, after, and the entry to be marked. */
export const recorded = (what: Revocation['what'], action: string): string => `
  marked AS (
    INSERT INTO outbox (environment_id, table_id, key)
    SELECT DISTINCT e.id, h.marks, h.mark FROM hit h JOIN environment e ON e.id = $2 OR h.marks = ${TABLE.setting} OR (h.marks = ${TABLE.application}
      AND EXISTS (SELECT FROM credential k WHERE k.environment_id = e.id AND k.application_id = h.application))
  ),
  audited AS (
    INSERT INTO audit (actor, role, action, target, before, after, request_id, xid)
    SELECT 'system', 'admin', '${action}', h.target, h.before, h.after, 'restore ' || $1::uuid::text, pg_current_xact_id()::text::bigint FROM hit h
  )
  INSERT INTO restore_item (restore_id, kind, what, key, target, detail)
  SELECT $1::uuid, 'kept', '${what}', h.entry, h.target, h.before FROM hit h ON CONFLICT DO NOTHING`;
