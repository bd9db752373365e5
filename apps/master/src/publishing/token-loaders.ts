import {
  encodeClientRecord,
  encodeIssuerRecord,
  encodeRevokedToken,
  issuerKey,
  type IssuerRecord,
  TABLE,
} from '#model';
import { attempt, isText, type Loader } from './loaded.js';
import type { Statement } from './session.js';

/** Whom the access tokens of an environment are meant for. */
export const audienceOf = (environment: string): string => `urn:heliograph:${environment}`;

/** Our own issuer, where the environment has keys to sign with, and those outside that it trusts. */
const ISSUERS: Statement = {
  name: 'rows_jwks',
  text: `SELECT i.*, (SELECT 'at+jwt' FROM token_authority own WHERE own.issuer = i.issuer) AS typ
           FROM unnest($2::text[]) AS e (issuer) CROSS JOIN LATERAL (
           SELECT a.issuer, ARRAY[$3::text] AS audience, ARRAY['ES256'] AS algorithms, 'client_id' AS claim, k.keys
           FROM token_authority a, LATERAL (
             SELECT json_agg(public_jwk ORDER BY kid) AS keys FROM token_key WHERE environment_id = $1
           ) AS k WHERE a.issuer = e.issuer AND k.keys IS NOT NULL
           UNION ALL
           SELECT t.issuer, t.audiences, t.algorithms, t.claim, t.keys::json FROM token_issuer t
           WHERE t.environment_id = $1 AND t.issuer = e.issuer AND NOT EXISTS (SELECT FROM token_authority o WHERE o.issuer = t.issuer) OFFSET 0
         ) AS i`,
};
const loadIssuers: Loader = async (session, environment, keys) => {
  type Row = Omit<IssuerRecord, 'typ'> & { typ: IssuerRecord['typ'] | null };
  const rows = await session.rows<Row>(ISSUERS, [
    environment,
    keys.filter(isText).map(String),
    audienceOf(environment),
  ]);
  return rows.map(({ typ, ...row }) =>
    // whoever else issues tokens may call them otherwise
    attempt(issuerKey(row.issuer), () => encodeIssuerRecord({ ...row, ...(typ === null ? {} : { typ }) })),
  );
};

const CLIENTS: Statement = {
  name: 'rows_client',
  text: `SELECT c.* FROM unnest($2::bytea[]) AS e (key) CROSS JOIN LATERAL (
           SELECT chain_id AS key, application_id AS application, scopes, ips, not_before FROM oauth_client
           WHERE environment_id = $1 AND chain_id = e.key AND revoked_at IS NULL
           UNION ALL
           SELECT chain_id, application_id, scopes, ips, not_before FROM outside_client
           WHERE environment_id = $1 AND chain_id = e.key AND revoked_at IS NULL OFFSET 0
         ) AS c`,
};
/** Those that are not revoked. One that has expired obtains no token any more, and those that it has end with it. */
const loadClients: Loader = async (session, environment, keys) => {
  const rows = await session.rows<{
    key: Buffer;
    application: string;
    scopes: string[] | null;
    ips: string[] | null;
    not_before: Date | null;
  }>(CLIENTS, [environment, keys]);
  return rows.map(({ key, application, scopes, ips, not_before: notBefore }) =>
    attempt(key, () =>
      encodeClientRecord({
        application,
        ...(scopes ? { scopes } : {}),
        ...(ips ? { ips } : {}),
        ...(notBefore ? { notBefore: Math.ceil(notBefore.getTime() / 1000) } : {}),
      }),
    ),
  );
};

const REVOKED: Statement = {
  name: 'rows_revoked_token',
  text: `SELECT r.* FROM unnest($2::bytea[]) AS e (key) CROSS JOIN LATERAL (
           SELECT chain_id AS key, expires_at FROM revoked_token WHERE environment_id = $1 AND chain_id = e.key OFFSET 0
         ) AS r`,
};
const loadRevokedTokens: Loader = async (session, environment, keys) => {
  const rows = await session.rows<{ key: Buffer; expires_at: Date }>(REVOKED, [environment, keys]);
  return rows.map(({ key, expires_at: expiresAt }) => attempt(key, () => encodeRevokedToken(expiresAt.getTime())));
};

export const TOKEN_LOADERS: readonly (readonly [number, Loader])[] = [
  [TABLE.jwks, loadIssuers],
  [TABLE.client, loadClients],
  [TABLE.revoked_token, loadRevokedTokens],
];
