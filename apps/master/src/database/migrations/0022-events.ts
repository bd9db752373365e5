import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What has happened, for who listens; and who is told of it. */
export class Events1760000000022 implements MigrationInterface {
  readonly name = 'Events1760000000022';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}

const STATEMENTS = [
  // written: in the order of the commits within one subject, as whoever writes of it has locked it. position: in the order in which
  // readers see events of all subjects, without a gap that is filled later; given out after the commit, null until then
  `CREATE TABLE event (
     id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
     written bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
     position bigint UNIQUE,
     type text NOT NULL,
     subject text NOT NULL,
     environment_id text,
     actor text NOT NULL,
     at timestamptz NOT NULL DEFAULT clock_timestamp(),
     data jsonb NOT NULL
   )`,
  `CREATE SEQUENCE event_position`,
  `CREATE INDEX event_without_position ON event (written) WHERE position IS NULL`,
  `CREATE INDEX event_by_subject ON event (subject, written)`,
  `CREATE INDEX event_by_age ON event (at)`,
  // promotions had a table of their own: readers of one go on after the ids that they have
  `INSERT INTO event (written, type, subject, environment_id, actor, at, data) OVERRIDING SYSTEM VALUE
   SELECT e.id, 'promotion.' || e.type, 'promotion/' || e.promotion_id, p.environment_id, e.actor, e.at, e.data || jsonb_build_object('releases', (
     SELECT coalesce(jsonb_agg(jsonb_build_object('api', r.api_id, 'release', encode(r.digest, 'hex')) ORDER BY r.api_id), '[]')
     FROM promotion_release r WHERE r.promotion_id = p.id))
   FROM promotion_event e JOIN promotion p ON p.id = e.promotion_id`,
  `SELECT setval(pg_get_serial_sequence('event', 'written'), coalesce((SELECT max(written) FROM event), 0) + 1, false)`,
  `DROP TABLE promotion_event`,
  // what was told of the replica last
  `ALTER TABLE replica ADD COLUMN told text NOT NULL DEFAULT 'well' CHECK (told IN ('well', 'stale', 'halted'))`,
  // up to when it was told which credentials have expired
  `CREATE TABLE expiry_told (one boolean PRIMARY KEY DEFAULT true CHECK (one), until timestamptz NOT NULL)`,
  `INSERT INTO expiry_told (until) VALUES (now())`,
  `CREATE INDEX api_key_by_expiry ON api_key (expires_at) WHERE expires_at IS NOT NULL AND revoked_at IS NULL`,
  `CREATE INDEX oauth_client_by_expiry ON oauth_client (expires_at) WHERE expires_at IS NOT NULL AND revoked_at IS NULL`,
  // types: of events, `*` or with `.*` at the end; environments: null for all. paused_until: nothing is sent to it before.
  // lease_until: whoever sends to it is done by then, or has gone
  `CREATE TABLE webhook (
     id uuid PRIMARY KEY,
     url text NOT NULL,
     types text[] NOT NULL,
     environments text[],
     description text,
     enabled boolean NOT NULL,
     disabled_reason text,
     failures integer NOT NULL DEFAULT 0,
     failing_since timestamptz,
     paused_until timestamptz NOT NULL DEFAULT '-infinity',
     lease_until timestamptz NOT NULL DEFAULT '-infinity',
     version integer NOT NULL DEFAULT 1,
     created_at timestamptz NOT NULL DEFAULT now(),
     created_by text NOT NULL
   )`,
  // sealed_by: which signing key of the chain it is sealed under
  `CREATE TABLE webhook_secret (
     id uuid PRIMARY KEY,
     webhook_id uuid NOT NULL REFERENCES webhook ON DELETE CASCADE,
     sealed bytea NOT NULL,
     sealed_by text NOT NULL,
     created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
     expires_at timestamptz
   )`,
  `CREATE INDEX webhook_secret_by_webhook ON webhook_secret (webhook_id, created_at)`,
  // position: of its event. Of one subject, the next one waits until those before it wait no more
  `CREATE TABLE webhook_delivery (
     id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
     webhook_id uuid NOT NULL REFERENCES webhook ON DELETE CASCADE,
     event_id uuid NOT NULL REFERENCES event ON DELETE CASCADE,
     subject text NOT NULL,
     position bigint NOT NULL,
     state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead')),
     next_at timestamptz NOT NULL DEFAULT now(),
     attempts integer NOT NULL DEFAULT 0,
     attempted_at timestamptz,
     status integer,
     error text,
     excerpt text,
     UNIQUE (event_id, webhook_id)
   )`,
  `CREATE INDEX webhook_delivery_waiting ON webhook_delivery (webhook_id, next_at, position) WHERE state = 'waiting'`,
  `CREATE INDEX webhook_delivery_waiting_of_subject ON webhook_delivery (webhook_id, subject, position) WHERE state = 'waiting'`,
  `CREATE INDEX webhook_delivery_dead ON webhook_delivery (webhook_id, position) WHERE state = 'dead'`,
  `CREATE INDEX webhook_delivery_by_webhook ON webhook_delivery (webhook_id, position)`,
];
