import { TABLE } from '#model';
import type { Statement } from '../session.js';
import type { Revocation } from './revocation.js';
import { BOUNDS, KEPT_REASON, recorded, wider } from './kept.js';

/* As those of `keep-revocations.ts`: what follows from rows of clients, tokens, issuers and their keys. */

type OfTokens = Extract<
  Revocation['what'],
  'client' | 'client-bounds' | 'tokens' | 'token' | 'token-key' | 'issuer' | 'issuer-rules'
>;

const ITEMS = 'unnest($3::bytea[], $4::jsonb[]) AS e (key, detail)';
const NOBODYS = 'NULL::uuid AS application';
const CLIENT = `c.chain_id AS mark, ${TABLE.client} AS marks, c.application_id AS application`;

/** The same done to our own clients and to those of other issuers, between which the chain makes no difference. */
const ofBoth = (update: (table: string, kind: string) => string): string => `
  own AS (${update('oauth_client', 'client')}), outside AS (${update('outside_client', 'outside-client')}),
  hit AS (SELECT * FROM own UNION ALL SELECT * FROM outside)`;

export const KEEP_TOKENS: Record<OfTokens, Statement> = {
  client: {
    name: 'keep_client',
    text: `WITH ${ofBoth(
      (table, kind) => `
        UPDATE ${table} c SET revoked_at = now(), revoked_reason = '${KEPT_REASON}', version = version + 1 FROM ${ITEMS}
        WHERE c.environment_id = $2 AND c.chain_id = substring(e.key FROM 1 FOR 16)
          AND c.application_id = encode(substring(e.key FROM 17), 'hex')::uuid AND c.revoked_at IS NULL
        RETURNING '${kind}/' || c.id AS target, jsonb_build_object('status', 'active') AS before,
          jsonb_build_object('status', 'revoked', 'revokedReason', c.revoked_reason) AS after, e.key AS entry, ${CLIENT}`,
    )}, ${recorded('client', 'client.revoke')}`,
  },
  // the scopes of a client are all that its tokens have, where it names none
  'client-bounds': {
    name: 'keep_client_bounds',
    text: `WITH bounds AS (${BOUNDS}), ${ofBoth(
      (table, kind) => `
        UPDATE ${table} c SET scopes = coalesce(b.scopes, c.scopes), ips = b.ips, version = c.version + 1 FROM bounds b, ${table} was
        WHERE c.environment_id = $2 AND c.chain_id = b.key AND c.revoked_at IS NULL AND was.id = c.id
          AND (${wider('was.scopes', 'b.scopes')} OR ${wider('was.ips', 'b.ips')})
        RETURNING '${kind}/' || c.id AS target, jsonb_build_object('scopes', was.scopes, 'ips', was.ips) AS before,
          jsonb_build_object('scopes', c.scopes, 'ips', c.ips) AS after, b.key AS entry, ${CLIENT}`,
    )}, ${recorded('client-bounds', 'client.update')}`,
  },
  tokens: {
    name: 'keep_tokens',
    text: `WITH wanted AS (SELECT e.key, to_timestamp((e.detail ->> 'notBefore')::float8) AS since FROM ${ITEMS}), ${ofBoth(
      (table, kind) => `
        UPDATE ${table} c SET not_before = w.since, version = c.version + 1 FROM wanted w, ${table} was
        WHERE c.environment_id = $2 AND c.chain_id = w.key AND c.revoked_at IS NULL AND was.id = c.id
          AND (was.not_before IS NULL OR was.not_before < w.since)
        RETURNING '${kind}/' || c.id AS target, jsonb_build_object('notBefore', was.not_before) AS before,
          jsonb_build_object('notBefore', c.not_before) AS after, w.key AS entry, ${CLIENT}`,
    )}, ${recorded('tokens', 'client.revoke-tokens')}`,
  },
  // the chain knows no more of a token than that it is revoked, and until when
  token: {
    name: 'keep_token',
    text: `WITH hit AS (
        INSERT INTO revoked_token AS r (environment_id, chain_id, expires_at)
        SELECT $2, e.key, to_timestamp((e.detail ->> 'expiresAt')::float8 / 1000) FROM ${ITEMS}
        ON CONFLICT DO NOTHING
        RETURNING 'token/' || encode(r.chain_id, 'hex') AS target, NULL::jsonb AS before, jsonb_build_object('expiresAt', r.expires_at) AS after,
          r.chain_id AS entry, r.chain_id AS mark, ${TABLE.revoked_token} AS marks, ${NOBODYS}
      ), ${recorded('token', 'token.revoke')}`,
  },
  // a key that has left may have leaked; whether an issuer outside shows it still is asked again at once
  'token-key': {
    name: 'keep_token_key',
    text: `WITH own AS (
        DELETE FROM token_key k USING ${ITEMS}, token_authority a
        WHERE k.environment_id = $2 AND convert_to(a.issuer || E'\\n' || k.kid, 'UTF8') = e.key
        RETURNING e.key AS entry, a.issuer, k.kid
      ), theirs AS (
        SELECT DISTINCT t.id, e.key AS entry, t.issuer, k.jwk ->> 'kid' AS kid
        FROM token_issuer t CROSS JOIN jsonb_array_elements(t.keys) AS k (jwk)
        JOIN ${ITEMS} ON convert_to(t.issuer || E'\\n' || (k.jwk ->> 'kid'), 'UTF8') = e.key WHERE t.environment_id = $2
      ), cut AS (
        UPDATE token_issuer t SET etag = NULL, next_fetch_at = now(), version = version + 1, keys = (
          SELECT coalesce(jsonb_agg(k.jwk), '[]') FROM jsonb_array_elements(t.keys) AS k (jwk)
          WHERE NOT EXISTS (SELECT FROM theirs WHERE theirs.id = t.id AND theirs.kid = k.jwk ->> 'kid')
        ) WHERE t.id IN (SELECT id FROM theirs)
      ), hit AS (
        SELECT 'token-key/' || g.kid AS target, jsonb_build_object('kid', g.kid) AS before, NULL::jsonb AS after,
          g.entry, convert_to(g.issuer, 'UTF8') AS mark, ${TABLE.jwks} AS marks, ${NOBODYS}
        FROM (SELECT entry, issuer, kid FROM own UNION ALL SELECT entry, issuer, kid FROM theirs) AS g
      ), ${recorded('token-key', 'token-key.leave')}`,
  },
  // its clients go with it; each has left the chain by itself
  issuer: {
    name: 'keep_issuer',
    text: `WITH hit AS (
        DELETE FROM token_issuer t USING ${ITEMS} WHERE t.environment_id = $2 AND convert_to(t.issuer, 'UTF8') = e.key
        RETURNING 'issuer/' || t.id AS target, jsonb_build_object('issuer', t.issuer, 'audiences', t.audiences) AS before,
          NULL::jsonb AS after, e.key AS entry, e.key AS mark, ${TABLE.jwks} AS marks, ${NOBODYS}
      ), ${recorded('issuer', 'issuer.delete')}`,
  },
  // which of its keys are used depends on the algorithms: they are fetched again at once
  'issuer-rules': {
    name: 'keep_issuer_rules',
    text: `WITH rules AS (
        SELECT e.key, ARRAY(SELECT jsonb_array_elements_text(e.detail -> 'audience')) AS audiences,
          ARRAY(SELECT jsonb_array_elements_text(e.detail -> 'algorithms')) AS algorithms, e.detail ->> 'claim' AS claim FROM ${ITEMS}
      ), hit AS (
        UPDATE token_issuer t SET audiences = r.audiences, algorithms = r.algorithms, claim = r.claim, etag = NULL, next_fetch_at = now(),
          version = t.version + 1
        FROM rules r, token_issuer was
        WHERE t.environment_id = $2 AND convert_to(t.issuer, 'UTF8') = r.key AND was.id = t.id
          AND (${wider('was.audiences', 'r.audiences')} OR ${wider('was.algorithms', 'r.algorithms')} OR was.claim <> r.claim)
        RETURNING 'issuer/' || t.id AS target,
          jsonb_build_object('audiences', was.audiences, 'algorithms', was.algorithms, 'claim', was.claim) AS before,
          jsonb_build_object('audiences', t.audiences, 'algorithms', t.algorithms, 'claim', t.claim) AS after,
          r.key AS entry, r.key AS mark, ${TABLE.jwks} AS marks, ${NOBODYS}
      ), ${recorded('issuer-rules', 'issuer.update')}`,
  },
};
