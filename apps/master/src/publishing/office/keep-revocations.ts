import { TABLE, TRUSTED_KEYS_SETTING } from '#model';
import type { Session, Statement } from '../session.js';
import type { Restore } from './restore.js';
import { KEEP_TOKENS } from './keep-token-revocations.js';
import { BOUNDS, KEPT_REASON, recorded, wider } from './kept.js';
import type { Revocation } from './revocation.js';

/*
 * A row that was revoked, and that a restore brought back to life, is revoked again: whoever had lost a right must not
 * get it back because a database did.
 */

const AT_A_TIME = 500;

const PAGE: Statement = {
  name: 'keep_page',
  text: `SELECT id, what, key, detail FROM restore_item WHERE restore_id = $1 AND kind = 'revocation' AND id > $2 ORDER BY id LIMIT ${AT_A_TIME}`,
};

const KEEP: Record<Revocation['what'], Statement> = {
  key: {
    name: 'keep_key',
    text: `WITH hit AS (
        UPDATE api_key k SET revoked_at = now(), revoked_reason = '${KEPT_REASON}', version = version + 1
        FROM unnest($3::bytea[], $4::jsonb[]) AS e (key, detail)
        WHERE k.environment_id = $2 AND k.chain_id = e.key AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
        RETURNING 'key/' || k.id AS target, jsonb_build_object('status', 'active') AS before,
          jsonb_build_object('status', 'revoked', 'revokedReason', k.revoked_reason) AS after,
          k.chain_id AS entry, k.chain_id AS mark, ${TABLE.key} AS marks, k.application_id AS application
      ), ${recorded('key', 'key.revoke')}`,
  },
  expiry: {
    name: 'keep_expiry',
    text: `WITH wanted AS (
        SELECT k.id, k.expires_at AS was, to_timestamp((e.detail ->> 'expiresAt')::float8 / 1000) AS soon
        FROM unnest($3::bytea[], $4::jsonb[]) AS e (key, detail) JOIN api_key k ON k.environment_id = $2 AND k.chain_id = e.key
      ), hit AS (
        UPDATE api_key k SET expires_at = w.soon, version = version + 1 FROM wanted w
        WHERE k.id = w.id AND (k.expires_at IS NULL OR k.expires_at > w.soon)
        RETURNING 'key/' || k.id AS target, jsonb_build_object('expiresAt', w.was) AS before, jsonb_build_object('expiresAt', k.expires_at) AS after,
          k.chain_id AS entry, k.chain_id AS mark, ${TABLE.key} AS marks, k.application_id AS application
      ), ${recorded('expiry', 'key.expire')}`,
  },
  // without scopes a key has none
  'key-bounds': {
    name: 'keep_key_bounds',
    text: `WITH bounds AS (${BOUNDS}), hit AS (
        UPDATE api_key k SET scopes = b.scopes, ips = b.ips, version = k.version + 1 FROM bounds b, api_key was
        WHERE k.environment_id = $2 AND k.chain_id = b.key AND k.revoked_at IS NULL AND was.id = k.id
          AND (NOT coalesce(was.scopes, '{}') <@ coalesce(b.scopes, '{}') OR ${wider('was.ips', 'b.ips')})
        RETURNING 'key/' || k.id AS target, jsonb_build_object('scopes', was.scopes, 'ips', was.ips) AS before,
          jsonb_build_object('scopes', k.scopes, 'ips', k.ips) AS after, k.chain_id AS entry, k.chain_id AS mark, ${TABLE.key} AS marks,
          k.application_id AS application
      ), ${recorded('key-bounds', 'key.update')}`,
  },
  subscription: {
    name: 'keep_subscription',
    text: `WITH hit AS (
        DELETE FROM subscription s USING unnest($3::bytea[], $4::jsonb[]) AS e (key, detail)
        WHERE s.id = encode(e.key, 'hex')::uuid
        RETURNING 'subscription/' || s.id AS target, jsonb_build_object('application', s.application_id, 'api', s.api_id, 'plan', s.plan_id) AS before,
          NULL::jsonb AS after, e.key AS entry, decode(replace(s.application_id::text, '-', ''), 'hex') AS mark, ${TABLE.application} AS marks,
          s.application_id AS application
      ), ${recorded('subscription', 'subscription.delete')}`,
  },
  suspension: {
    name: 'keep_suspension',
    text: `WITH hit AS (
        UPDATE application a SET status = 'suspended', version = version + 1, updated_at = now()
        FROM unnest($3::bytea[], $4::jsonb[]) AS e (key, detail)
        WHERE a.id = encode(e.key, 'hex')::uuid AND a.status = 'active'
        RETURNING 'application/' || a.id AS target, jsonb_build_object('status', 'active') AS before, jsonb_build_object('status', 'suspended') AS after,
          e.key AS entry, e.key AS mark, ${TABLE.application} AS marks, a.id AS application
      ), ${recorded('suspension', 'application.update')}`,
  },
  // one that this database never knew is kept as well: what it signed long ago is still ours
  'signing-key': {
    name: 'keep_signing_key',
    text: `WITH hit AS (
        INSERT INTO signing_key AS k (public_key, key_id, added_by, retired_at, retired_by)
        SELECT e.detail ->> 'publicKey', e.detail ->> 'keyId', 'restore', now(), 'restore' FROM unnest($3::bytea[], $4::jsonb[]) AS e (key, detail)
        ON CONFLICT (public_key) DO UPDATE SET retired_at = now(), retired_by = excluded.retired_by WHERE k.retired_at IS NULL
        RETURNING 'signing-key/' || k.key_id AS target, jsonb_build_object('publicKey', k.public_key) AS before, NULL::jsonb AS after,
          decode(k.public_key, 'base64') AS entry, convert_to('${TRUSTED_KEYS_SETTING.toString('utf8')}', 'UTF8') AS mark,
          ${TABLE.setting} AS marks, NULL::uuid AS application
      ), ${recorded('signing-key', 'signing-key.retire')}`,
  },
  ...KEEP_TOKENS,
};

/** Rows follow what the chain had taken away, in transactions of bounded size; what was done before is done again without harm. */
export async function keepRevocations(session: Session, { id, environment }: Restore): Promise<void> {
  type Item = Pick<Revocation, 'what' | 'key' | 'detail'> & { id: string };
  for (let after = '0'; ; ) {
    const items = await session.rows<Item>(PAGE, [id, after]);
    const last = items.at(-1);
    if (!last) return;
    for (const [what, statement] of Object.entries(KEEP)) {
      const some = items.filter((item) => item.what === what);
      if (some.length === 0) continue;
      const details = some.map(({ detail }) => detail && JSON.stringify(detail));
      await session.rows(statement, [id, environment, some.map(({ key }) => key), details]);
    }
    after = last.id;
  }
}
