import { TABLE } from '#model';
import type { Revocation } from './revocation.js';

export const KEPT_REASON = 'revoked before the restore';

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
