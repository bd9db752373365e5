import { fail, type PublicJwk, type TokenAlgorithm } from '#model';
import type { EntityManager } from 'typeorm';
import type { IssuerView } from './issuers.endpoints.js';
import type { RefusedKey } from './jwks.js';

export interface IssuerRow {
  id: string;
  environment: string;
  issuer: string;
  jwksUri: string | null;
  audiences: string[];
  claim: string;
  algorithms: TokenAlgorithm[];
  keys: PublicJwk[];
  refused: RefusedKey[];
  etag: string | null;
  fetchedFrom: string;
  fetchedAt: Date;
  nextFetchAt: Date;
  failures: number;
  lastError: string | null;
  version: number;
  createdAt: Date;
  createdBy: string;
}

/** The columns of `token_issuer t` as an IssuerRow. */
export const ISSUER_COLUMNS = `t.id, t.environment_id AS environment, t.issuer, t.jwks_uri AS "jwksUri", t.audiences, t.claim, t.algorithms,
  t.keys, t.refused, t.etag, t.fetched_from AS "fetchedFrom", t.fetched_at AS "fetchedAt", t.next_fetch_at AS "nextFetchAt",
  t.failures, t.last_error AS "lastError", t.version, t.created_at AS "createdAt", t.created_by AS "createdBy"`;

/** @throws HelioError `not_found` */
export async function oneIssuer(
  manager: EntityManager,
  environment: string,
  id: string,
  lock = false,
): Promise<IssuerRow> {
  const [row]: IssuerRow[] = await manager.query(
    `SELECT ${ISSUER_COLUMNS} FROM token_issuer t WHERE t.environment_id = $1 AND t.id = $2 ${lock ? 'FOR UPDATE' : ''}`,
    [environment, id],
  );
  if (!row) throw fail('not_found', `the environment "${environment}" has no issuer "${id}"`);
  return row;
}

export function issuerViewOf(row: IssuerRow): IssuerView {
  const { etag: _etag, version: _version, ...shown } = row;
  return {
    ...shown,
    keys: row.keys.map(({ kid, kty, alg }) => ({ kid: kid ?? null, kty, alg })),
    fetchedAt: row.fetchedAt.toISOString(),
    nextFetchAt: row.nextFetchAt.toISOString(),
    createdAt: row.createdAt.toISOString(),
  };
}

/** For the audit log: what was decided about it, and by which keys its tokens were verified. */
export function auditOfIssuer({ issuer, jwksUri, audiences, claim, algorithms, keys }: IssuerRow): object {
  return {
    issuer,
    jwksUri,
    audiences,
    claim,
    algorithms,
    keys: keys.map(({ kid, alg }) => `${kid ?? ''} ${alg}`.trim()),
  };
}
