import { decodeTrustedKeys, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import type { Session, Statement } from '../session.js';
import { keyIdText } from './trust.js';

const SAID: Statement = {
  name: 'follow_keys_said',
  text: `SELECT value FROM published_entry WHERE environment_id = $1 AND table_id = ${TABLE.setting} AND key = $2`,
};
/** One that another environment's chain has dropped in the same restore stays retired: its announcement is older than that. */
const FOLLOW: Statement = {
  name: 'follow_keys',
  text: `INSERT INTO signing_key AS s (public_key, key_id, added_by)
         SELECT k.public_key, k.key_id, 'restore' FROM unnest($1::text[], $2::text[]) AS k (public_key, key_id)
         ON CONFLICT (public_key) DO UPDATE SET retired_at = NULL, retired_by = NULL, added_by = excluded.added_by
         WHERE s.retired_at IS NOT NULL AND s.retired_by <> 'restore'`,
};
/** All environments have the same keys; where nothing is to be changed a marker changes nothing. */
const MARK: Statement = {
  name: 'follow_keys_mark',
  text: `INSERT INTO outbox (environment_id, table_id, key) SELECT id, ${TABLE.setting}, $1 FROM environment`,
};

/**
 * Rows of signing keys say what the chain says that was taken over: a rotation is not undone by a restore. Keys that were
 * dropped are among the revocations; these are those that it trusts. To do it again does no harm.
 */
export async function followTrustedKeys(session: Session, environment: string): Promise<void> {
  const [row] = await session.rows<{ value: Buffer }>(SAID, [environment, TRUSTED_KEYS_SETTING]);
  const keys = row && decodeTrustedKeys(row.value);
  if (keys) await session.rows(FOLLOW, [keys, keys.map(keyIdText)]);
  await session.rows(MARK, [TRUSTED_KEYS_SETTING]);
}
