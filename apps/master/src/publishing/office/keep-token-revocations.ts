import { TABLE } from '#model';
import type { Statement } from '../session.js';
import { KEPT_REASON, recorded } from './kept.js';

/* As those of `keep-revocations.ts`: what follows from rows of clients, tokens and their keys. */

const NOBODYS = 'NULL::uuid AS application';

export const KEEP_TOKENS: Record<'client' | 'tokens' | 'token' | 'token-key', Statement> = {
  client: {
    name: 'keep_client',
    text: `WITH hit AS (
        UPDATE oauth_client c SET revoked_at = now(), revoked_reason = '${KEPT_REASON}', version = version + 1
        FROM unnest($3::bytea[], $4::jsonb[]) AS e (key, detail)
        WHERE c.environment_id = $2 AND c.chain_id = e.key AND c.revoked_at IS NULL
        RETURNING 'client/' || c.id AS target, jsonb_build_object('status', 'active') AS before,
          jsonb_build_object('status', 'revoked', 'revokedReason', c.revoked_reason) AS after,
          c.chain_id AS entry, c.chain_id AS mark, ${TABLE.client} AS marks, c.application_id AS application
      ), ${recorded('client', 'client.revoke')}`,
  },
  tokens: {
    name: 'keep_tokens',
    text: `WITH wanted AS (
        SELECT c.id, c.not_before AS was, to_timestamp((e.detail ->> 'notBefore')::float8) AS since
        FROM unnest($3::bytea[], $4::jsonb[]) AS e (key, detail) JOIN oauth_client c ON c.environment_id = $2 AND c.chain_id = e.key
      ), hit AS (
        UPDATE oauth_client c SET not_before = w.since, version = version + 1 FROM wanted w
        WHERE c.id = w.id AND (c.not_before IS NULL OR c.not_before < w.since)
        RETURNING 'client/' || c.id AS target, jsonb_build_object('notBefore', w.was) AS before, jsonb_build_object('notBefore', c.not_before) AS after,
          c.chain_id AS entry, c.chain_id AS mark, ${TABLE.client} AS marks, c.application_id AS application
      ), ${recorded('tokens', 'client.revoke-tokens')}`,
  },
  // the chain knows no more of a token than that it is revoked, and until when
  token: {
    name: 'keep_token',
    text: `WITH hit AS (
        INSERT INTO revoked_token AS r (environment_id, chain_id, expires_at)
        SELECT $2, e.key, to_timestamp((e.detail ->> 'expiresAt')::float8 / 1000) FROM unnest($3::bytea[], $4::jsonb[]) AS e (key, detail)
        ON CONFLICT DO NOTHING
        RETURNING 'token/' || encode(r.chain_id, 'hex') AS target, NULL::jsonb AS before, jsonb_build_object('expiresAt', r.expires_at) AS after,
          r.chain_id AS entry, r.chain_id AS mark, ${TABLE.revoked_token} AS marks, ${NOBODYS}
      ), ${recorded('token', 'token.revoke')}`,
  },
  // a key that has left may have leaked
  'token-key': {
    name: 'keep_token_key',
    text: `WITH hit AS (
        DELETE FROM token_key k USING unnest($3::bytea[], $4::jsonb[]) AS e (key, detail), token_authority a
        WHERE k.environment_id = $2 AND convert_to(a.issuer || E'\\n' || k.kid, 'UTF8') = e.key
        RETURNING 'token-key/' || k.kid AS target, jsonb_build_object('kid', k.kid) AS before, NULL::jsonb AS after,
          e.key AS entry, convert_to(a.issuer, 'UTF8') AS mark, ${TABLE.jwks} AS marks, ${NOBODYS}
      ), ${recorded('token-key', 'token-key.leave')}`,
  },
};
