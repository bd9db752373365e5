import type { ApiKeyRow } from '../database/entities.js';
import type { KeyView } from './keys.endpoints.js';

type KeyFieldsShown = Omit<ApiKeyRow, 'hash' | 'version'>;

export function keyViewOf(row: KeyFieldsShown): KeyView {
  const expired = row.expiresAt !== null && row.expiresAt.getTime() <= Date.now();
  return {
    id: row.id,
    application: row.application,
    environment: row.environment,
    name: row.name,
    hint: row.hint,
    scopes: row.scopes ?? [],
    ips: row.ips,
    status: row.revokedAt ? 'revoked' : expired ? 'expired' : 'active',
    expiresAt: row.expiresAt?.toISOString() ?? null,
    revokedAt: row.revokedAt?.toISOString() ?? null,
    revokedReason: row.revokedReason,
    replacedBy: row.replacedBy,
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
  };
}
