import type { Signer } from '#artifacts';
import type { DataSource } from 'typeorm';
import { EVENT_COLUMNS, type EventRow } from '../events/event-row.js';
import { sealerOf } from '../secrets/sealed.js';
import type { Posted } from './post.js';
import { SECRETS, type SealedSecret, secretsOf } from './webhook-secret.js';

/** A webhook that this process alone sends to, until its lease is over. */
export interface Claimed {
  id: string;
  url: string;
  /** attempts that have failed one after the other */
  failures: number;
  failingSince: Date | null;
  secrets: SealedSecret[];
  /** until when, in the database's own words: a Date has no microseconds, and this tells one lease from the next */
  lease: string;
}

export interface Due extends EventRow {
  delivery: string;
  attempts: number;
}

/** Whoever sends is done by then, or is taken to be gone: longer than an attempt takes. */
export const LEASE_SECONDS = 20;
/** After so many failures without an event that was taken, it was the endpoint, and not an event. */
const OUTAGE = 3;
const MOST_ERROR = 1000;

/** Of a delivery `d`: it is its turn, and those before it of its subject wait no more. */
const DUE = `d.state = 'waiting' AND d.next_at <= now() AND NOT EXISTS (
    SELECT FROM webhook_delivery b WHERE b.webhook_id = d.webhook_id AND b.subject = d.subject AND b.state = 'waiting' AND b.position < d.position)`;

/** What is to be sent, and what came of it. PostgreSQL knows it all: any master goes on. */
export class DeliveryQueue {
  constructor(
    private readonly source: DataSource,
    private readonly signer: Signer,
  ) {}

  /** One that has something to send, that nobody sends to, and whose secret this master can open; the one that was served longest ago. */
  async claim(): Promise<Claimed | null> {
    const [rows]: [(Omit<Claimed, 'secrets'> & { secrets: Parameters<typeof secretsOf>[0] })[], number] =
      await this.source.query(CLAIM, [sealerOf(this.signer)]);
    const [row] = rows;
    return row ? { ...row, secrets: secretsOf(row.secrets) } : null;
  }

  /** Of each subject one at the most. */
  due(webhook: string, most: number): Promise<Due[]> {
    return this.source.query(DUE_NOW, [webhook, most]);
  }

  async delivered(delivery: string, { status }: Posted): Promise<void> {
    await this.source.query(
      `UPDATE webhook_delivery SET state = 'delivered', attempts = attempts + 1, attempted_at = now(), status = $2, error = NULL, excerpt = NULL
       WHERE id = $1 AND state = 'waiting'`,
      [delivery, status],
    );
  }

  /** @param againMs null: it is given up @returns whether it is the first one of its webhook that was given up and not seen to */
  async failed(delivery: string, { status, error, excerpt }: Posted, againMs: number | null): Promise<boolean> {
    const [row]: { first: boolean }[] = await this.source.query(FAILED, [
      delivery,
      status,
      error?.slice(0, MOST_ERROR),
      excerpt,
      againMs,
    ]);
    return row?.first ?? false;
  }

  /**
   * Gives it back to all masters. After an outage what has waited for its next attempt does not wait any longer.
   *
   * @returns false: it is somebody else's since, as this process stood still; nothing was written
   */
  async release({ id, failures, lease }: Claimed, now: number, pauseMs: number): Promise<boolean> {
    const [, released]: [unknown, number] = await this.source.query(RELEASE, [id, now, pauseMs, lease]);
    if (released === 0) return false;
    if (now === 0 && failures >= OUTAGE)
      await this.source.query(
        `UPDATE webhook_delivery SET next_at = now() WHERE webhook_id = $1 AND state = 'waiting' AND next_at > now()`,
        [id],
      );
    return true;
  }
}

const CLAIM = `
  UPDATE webhook w SET lease_until = now() + interval '${LEASE_SECONDS} seconds' WHERE w.id = (
    SELECT f.id FROM webhook f WHERE f.enabled AND f.lease_until <= now() AND f.paused_until <= now()
      AND EXISTS (SELECT FROM webhook_secret s WHERE s.webhook_id = f.id AND s.sealed_by = $1 AND (s.expires_at IS NULL OR s.expires_at > now()))
      AND EXISTS (SELECT FROM webhook_delivery d WHERE d.webhook_id = f.id AND ${DUE})
    ORDER BY f.lease_until, f.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
  RETURNING w.id, w.url, w.failures, w.failing_since AS "failingSince", w.lease_until::text AS lease, ${SECRETS} AS secrets`;

const DUE_NOW = `
  SELECT d.id AS delivery, d.attempts, ${EVENT_COLUMNS} FROM webhook_delivery d JOIN event e ON e.id = d.event_id
  WHERE d.webhook_id = $1 AND ${DUE} ORDER BY d.next_at, d.position LIMIT $2`;

const FAILED = `
  WITH done AS (
    UPDATE webhook_delivery SET state = CASE WHEN $5::float8 IS NULL THEN 'dead' ELSE 'waiting' END, attempts = attempts + 1, attempted_at = now(),
      status = $2, error = $3, excerpt = $4, next_at = now() + coalesce($5::float8, 0) * interval '1 millisecond'
    WHERE id = $1 AND state = 'waiting' RETURNING webhook_id, state
  )
  SELECT d.state = 'dead' AND NOT EXISTS (SELECT FROM webhook_delivery o WHERE o.webhook_id = d.webhook_id AND o.state = 'dead') AS first FROM done d`;

const RELEASE = `
  UPDATE webhook SET lease_until = clock_timestamp(), failures = $2::integer,
    failing_since = CASE WHEN $2::integer = 0 THEN NULL ELSE coalesce(failing_since, now()) END,
    paused_until = clock_timestamp() + $3::float8 * interval '1 millisecond'
  WHERE id = $1 AND lease_until = $4::timestamptz`;
