import { fail } from '#model';
import type { EntityManager } from 'typeorm';
import type { Signer } from '#artifacts';
import { sealerOf } from '../secrets/sealed.js';
import { SECRETS, type SealedSecret, secretsOf } from './webhook-secret.js';
import type { DeliveryView, WebhookView } from './webhooks.endpoints.js';

export interface WebhookRow {
  id: string;
  url: string;
  types: string[];
  environments: string[] | null;
  description: string | null;
  enabled: boolean;
  disabledReason: string | null;
  failures: number;
  failingSince: Date | null;
  waiting: number;
  dead: number;
  secrets: SealedSecret[];
  version: number;
  createdAt: Date;
  createdBy: string;
}

const count = (state: string): string =>
  `(SELECT count(*)::int FROM webhook_delivery d WHERE d.webhook_id = w.id AND d.state = '${state}')`;

const WEBHOOKS = `
  SELECT w.id, w.url, w.types, w.environments, w.description, w.enabled, w.disabled_reason AS "disabledReason", w.failures,
    w.failing_since AS "failingSince", ${count('waiting')} AS waiting, ${count('dead')} AS dead, ${SECRETS} AS secrets, w.version,
    w.created_at AS "createdAt", w.created_by AS "createdBy", w.created_at::text AS age
  FROM webhook w`;

type Read = Omit<WebhookRow, 'secrets'> & { age: string; secrets: Parameters<typeof secretsOf>[0] };

/** The oldest first. @param after age and id of the one before */
export async function webhooksAfter(
  manager: EntityManager,
  after: string[] | null,
  most: number,
): Promise<(WebhookRow & { age: string })[]> {
  const rows: Read[] = await manager.query(
    `${WEBHOOKS} WHERE $1::timestamptz IS NULL OR (w.created_at, w.id) > ($1, $2::uuid) ORDER BY w.created_at, w.id LIMIT $3`,
    [after?.[0] ?? null, after?.[1] ?? null, most],
  );
  return rows.map((row) => ({ ...row, secrets: secretsOf(row.secrets) }));
}

/** @param lock until the transaction ends @throws HelioError `not_found` */
export async function oneWebhook(manager: EntityManager, id: string, lock = false): Promise<WebhookRow> {
  if (lock) await manager.query('SELECT FROM webhook WHERE id = $1 FOR NO KEY UPDATE', [id]);
  const [row]: Read[] = await manager.query(`${WEBHOOKS} WHERE w.id = $1`, [id]);
  if (!row) throw fail('not_found', `there is no webhook ${id}`);
  return { ...row, secrets: secretsOf(row.secrets) };
}

export function webhookViewOf({ version: _, ...row }: WebhookRow & { age?: string }, signer: Signer): WebhookView {
  const { age: _age, ...shown } = row;
  const usable = row.secrets.some(({ sealedBy }) => sealedBy === sealerOf(signer));
  return {
    ...shown,
    problem: usable ? null : 'its secret was sealed under another signing key of the chain: rotate it',
    failingSince: row.failingSince?.toISOString() ?? null,
    secrets: row.secrets.map(({ createdAt, expiresAt }) => ({
      createdAt: createdAt.toISOString(),
      expiresAt: expiresAt?.toISOString() ?? null,
    })),
    createdAt: row.createdAt.toISOString(),
  };
}

/** For the audit log: what somebody has decided. */
export function auditOfWebhook({ url, types, environments, description, enabled, disabledReason }: WebhookRow): object {
  return { url, types, environments, description, enabled, disabledReason };
}

export interface DeliveryRow {
  id: string;
  event: string;
  type: string;
  subject: string;
  at: Date;
  position: string;
  state: DeliveryView['state'];
  attempts: number;
  nextAt: Date;
  attemptedAt: Date | null;
  status: number | null;
  error: string | null;
  excerpt: string | null;
}

export const DELIVERIES = `
  SELECT d.id, e.id AS event, e.type, e.subject, e.at, d.position, d.state, d.attempts, greatest(d.next_at, w.paused_until) AS "nextAt", d.attempted_at AS "attemptedAt",
    d.status, d.error, d.excerpt
  FROM webhook_delivery d JOIN event e ON e.id = d.event_id JOIN webhook w ON w.id = d.webhook_id`;

export function deliveryViewOf(row: DeliveryRow): DeliveryView {
  const { id, event, type, subject, at, state, attempts, nextAt, attemptedAt, status, error, excerpt } = row;
  return {
    id,
    event: { id: event, type, subject, timestamp: at.toISOString() },
    state,
    attempts,
    nextAttemptAt: state === 'waiting' ? nextAt.toISOString() : null,
    attemptedAt: attemptedAt?.toISOString() ?? null,
    status,
    error,
    excerpt,
  };
}
