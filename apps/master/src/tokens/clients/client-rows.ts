import { fail, newClientSecret, secretHash } from '#model';
import type { EntityManager } from 'typeorm';
import { clientMark } from '../../publishing/index.js';
import type { WriteTx } from '../../writes/write-tx.js';
import type { ClientView } from './clients.endpoints.js';

/** A client as services change it. */
export interface ClientRow {
  id: string;
  application: string;
  environment: string;
  chainId: Buffer;
  name: string | null;
  scopes: string[];
  ips: string[] | null;
  tokenSeconds: number;
  expiresAt: Date | null;
  notBefore: Date | null;
  revokedAt: Date | null;
  revokedReason: string | null;
  lastUsedAt: Date | null;
  version: number;
  createdAt: Date;
  createdBy: string;
  /** those that are taken now, oldest first; times in ISO 8601 */
  secrets: { hint: string; expiresAt: string | null; createdAt: string }[];
}

export const CLIENTS = `
  SELECT c.id, c.application_id AS application, c.environment_id AS environment, c.chain_id AS "chainId", c.name, c.scopes, c.ips,
    c.token_seconds AS "tokenSeconds", c.expires_at AS "expiresAt", c.not_before AS "notBefore", c.revoked_at AS "revokedAt",
    c.revoked_reason AS "revokedReason", c.last_used_at AS "lastUsedAt", c.version, c.created_at AS "createdAt", c.created_at::text AS at, c.created_by AS "createdBy",
    coalesce((SELECT json_agg(json_build_object('hint', s.hint, 'expiresAt', s.expires_at, 'createdAt', s.created_at) ORDER BY s.created_at)
      FROM oauth_client_secret s WHERE s.client_id = c.id AND (s.expires_at IS NULL OR s.expires_at > now())), '[]') AS secrets
  FROM oauth_client c`;

export async function oneClient(manager: EntityManager, application: string, id: string): Promise<ClientRow> {
  const rows: ClientRow[] = await manager.query(`${CLIENTS} WHERE c.application_id = $1 AND c.id = $2`, [
    application,
    id,
  ]);
  if (!rows[0]) throw fail('not_found', `the application ${application} has no client "${id}"`);
  return rows[0];
}

/** Writes what of a client can change, in a transaction that has locked its application; then reads it again. */
export async function saveClient(tx: WriteTx, row: ClientRow): Promise<ClientRow> {
  await tx.manager.query(
    `UPDATE oauth_client SET name = $2, scopes = $3, ips = $4, token_seconds = $5, expires_at = $6, not_before = $7, revoked_at = $8,
       revoked_reason = $9, version = version + 1 WHERE id = $1`,
    [
      row.id,
      row.name,
      row.scopes,
      row.ips,
      row.tokenSeconds,
      row.expiresAt,
      row.notBefore,
      row.revokedAt,
      row.revokedReason,
    ],
  );
  tx.mark([row.environment], clientMark(row.chainId));
  return oneClient(tx.manager, row.application, row.id);
}

const HINT_LENGTH = 'hg_secret_'.length + 4;

/** @returns the secret, which is kept nowhere */
export async function addSecret({ manager }: WriteTx, client: string): Promise<string> {
  const secret = newClientSecret();
  await manager.query('INSERT INTO oauth_client_secret (client_id, hash, hint) VALUES ($1, $2, $3)', [
    client,
    secretHash(secret),
    secret.slice(0, HINT_LENGTH),
  ]);
  return secret;
}

export function viewOf(row: ClientRow): ClientView {
  const iso = (at: Date | string | null): string | null => (at === null ? null : new Date(at).toISOString());
  const expired = row.expiresAt !== null && row.expiresAt.getTime() <= Date.now();
  return {
    id: row.id,
    application: row.application,
    environment: row.environment,
    name: row.name,
    scopes: row.scopes,
    ips: row.ips,
    tokenSeconds: row.tokenSeconds,
    status: row.revokedAt ? 'revoked' : expired ? 'expired' : 'active',
    expiresAt: iso(row.expiresAt),
    notBefore: iso(row.notBefore),
    revokedAt: iso(row.revokedAt),
    revokedReason: row.revokedReason,
    lastUsedAt: iso(row.lastUsedAt),
    secrets: row.secrets.map(({ hint, expiresAt, createdAt }) => ({
      hint,
      expiresAt: iso(expiresAt),
      createdAt: new Date(createdAt).toISOString(),
    })),
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
  };
}
