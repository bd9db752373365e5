import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The first schema. Later migrations only expand it, or contract what no running version uses any more. */
export class First1760000000001 implements MigrationInterface {
  readonly name = 'First1760000000001';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of [...TOPOLOGY, ...CATALOG, ...CONSUMERS, ...ACCESS, ...PUBLISHING])
      await runner.query(statement);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}

const TOPOLOGY = [
  `CREATE TABLE environment (
     id text PRIMARY KEY,
     position integer NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now()
   )`,
  `CREATE TABLE region (
     id text PRIMARY KEY,
     environment_id text NOT NULL REFERENCES environment,
     created_at timestamptz NOT NULL DEFAULT now()
   )`,
  `CREATE INDEX region_by_environment ON region (environment_id)`,
  `CREATE TABLE join_token (
     id uuid PRIMARY KEY,
     token_hash bytea NOT NULL UNIQUE,
     region_id text NOT NULL REFERENCES region ON DELETE CASCADE,
     max_uses integer NOT NULL,
     uses integer NOT NULL DEFAULT 0,
     expires_at timestamptz NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now(),
     created_by text NOT NULL
   )`,
  `CREATE TABLE replica (
     id text PRIMARY KEY,
     region_id text NOT NULL REFERENCES region,
     token_hash bytea NOT NULL UNIQUE,
     build text NOT NULL,
     joined_at timestamptz NOT NULL DEFAULT now(),
     status jsonb,
     reported_at timestamptz
   )`,
];

const CATALOG = [
  `CREATE TABLE plan (
     id text PRIMARY KEY,
     rate jsonb,
     quota jsonb,
     version integer NOT NULL DEFAULT 1,
     created_at timestamptz NOT NULL DEFAULT now(),
     updated_at timestamptz NOT NULL DEFAULT now()
   )`,
  `CREATE TABLE api (
     id text PRIMARY KEY,
     name text NOT NULL,
     version text NOT NULL,
     context text NOT NULL UNIQUE,
     created_at timestamptz NOT NULL DEFAULT now(),
     created_by text NOT NULL
   )`,
  // the definition is kept as the exact bytes whose SHA-256 is the digest
  `CREATE TABLE release (
     digest bytea PRIMARY KEY,
     api_id text NOT NULL REFERENCES api ON DELETE CASCADE,
     definition bytea NOT NULL,
     plans text[] NOT NULL,
     routes integer NOT NULL,
     report jsonb,
     created_at timestamptz NOT NULL DEFAULT now(),
     created_by text NOT NULL
   )`,
  `CREATE INDEX release_by_api ON release (api_id, created_at DESC, digest)`,
  `CREATE TABLE placement (
     environment_id text NOT NULL REFERENCES environment,
     api_id text NOT NULL REFERENCES api,
     region text NOT NULL,
     digest bytea NOT NULL REFERENCES release,
     version integer NOT NULL DEFAULT 1,
     updated_at timestamptz NOT NULL DEFAULT now(),
     updated_by text NOT NULL,
     PRIMARY KEY (environment_id, api_id, region)
   )`,
  `CREATE INDEX placement_by_release ON placement (digest, environment_id)`,
  `CREATE INDEX placement_by_api ON placement (api_id)`,
];

const CONSUMERS = [
  `CREATE TABLE application (
     id uuid PRIMARY KEY,
     name text NOT NULL,
     owner text,
     status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
     version integer NOT NULL DEFAULT 1,
     created_at timestamptz NOT NULL DEFAULT now(),
     updated_at timestamptz NOT NULL DEFAULT now()
   )`,
  `CREATE INDEX application_by_age ON application (created_at, id)`,
  `CREATE TABLE subscription (
     id uuid PRIMARY KEY,
     application_id uuid NOT NULL REFERENCES application ON DELETE CASCADE,
     api_id text NOT NULL REFERENCES api,
     plan_id text NOT NULL REFERENCES plan,
     version integer NOT NULL DEFAULT 1,
     created_at timestamptz NOT NULL DEFAULT now(),
     updated_at timestamptz NOT NULL DEFAULT now(),
     UNIQUE (application_id, api_id)
   )`,
  `CREATE INDEX subscription_by_age ON subscription (created_at, id)`,
  `CREATE INDEX subscription_by_api ON subscription (api_id)`,
  `CREATE INDEX subscription_by_plan ON subscription (plan_id)`,
  // no secret: its SHA-256, the first 16 bytes of which name the key on the chain
  `CREATE TABLE api_key (
     id uuid PRIMARY KEY,
     application_id uuid NOT NULL REFERENCES application ON DELETE CASCADE,
     environment_id text NOT NULL REFERENCES environment,
     hash bytea NOT NULL CHECK (octet_length(hash) = 32),
     chain_id bytea NOT NULL GENERATED ALWAYS AS (substring(hash FROM 1 FOR 16)) STORED,
     hint text,
     name text,
     expires_at timestamptz,
     revoked_at timestamptz,
     revoked_reason text,
     replaced_by uuid,
     version integer NOT NULL DEFAULT 1,
     created_at timestamptz NOT NULL DEFAULT now(),
     created_by text NOT NULL,
     UNIQUE (environment_id, chain_id)
   )`,
  `CREATE INDEX api_key_by_application ON api_key (application_id, created_at, id)`,
];

const ACCESS = [
  `CREATE TABLE access_token (
     id uuid PRIMARY KEY,
     name text NOT NULL,
     role text NOT NULL CHECK (role IN ('admin', 'publisher', 'operator', 'viewer')),
     token_hash bytea NOT NULL UNIQUE,
     created_at timestamptz NOT NULL DEFAULT now(),
     created_by text NOT NULL,
     expires_at timestamptz
   )`,
  `CREATE TABLE audit (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     at timestamptz NOT NULL DEFAULT now(),
     actor text NOT NULL,
     role text NOT NULL,
     action text NOT NULL,
     target text NOT NULL,
     before jsonb,
     after jsonb,
     request_id text NOT NULL,
     xid bigint NOT NULL
   )`,
  `CREATE INDEX audit_by_target ON audit (target, id DESC)`,
  `CREATE INDEX audit_by_actor ON audit (actor, id DESC)`,
  // the answer is encrypted with a key that only the caller can make again: it may hold a secret that is shown once
  `CREATE TABLE idempotency (
     id bytea PRIMARY KEY,
     request_hash bytea NOT NULL,
     answer bytea NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now()
   )`,
  `CREATE INDEX idempotency_by_age ON idempotency (created_at)`,
];

const PUBLISHING = [
  // markers: which entries of a chain may have changed. xid is the transaction that wrote the marker
  `CREATE TABLE outbox (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     environment_id text NOT NULL,
     table_id smallint NOT NULL,
     key bytea NOT NULL,
     xid bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
     created_at timestamptz NOT NULL DEFAULT now()
   )`,
  `CREATE INDEX outbox_by_transaction ON outbox (environment_id, xid, id)`,
  // where each chain stands; stored_revision: up to there the artifact store has it; public_key: whose private half has
  // signed it since its first term, 32 bytes in base64. A chain outlives its environment:
  // one that is made again under the same name goes on with the next revision, for replicas never go back
  `CREATE TABLE chain (
     environment_id text PRIMARY KEY,
     epoch integer NOT NULL DEFAULT 0,
     revision bigint NOT NULL DEFAULT 0,
     hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
     root bytea,
     stored_revision bigint NOT NULL DEFAULT 0,
     leader text,
     public_key text
   )`,
  `CREATE TABLE chain_bucket (
     environment_id text NOT NULL,
     bucket smallint NOT NULL,
     sum bytea NOT NULL CHECK (octet_length(sum) = 32),
     PRIMARY KEY (environment_id, bucket)
   )`,
  `CREATE TABLE revision (
     environment_id text NOT NULL,
     revision bigint NOT NULL,
     epoch integer NOT NULL,
     hash bytea NOT NULL,
     root bytea NOT NULL,
     issued_at timestamptz NOT NULL,
     ops integer NOT NULL,
     bytes bytea NOT NULL,
     xids bigint[] NOT NULL,
     PRIMARY KEY (environment_id, revision)
   )`,
  `ALTER TABLE revision ALTER COLUMN bytes SET STORAGE EXTERNAL`,
  // without fastupdate: its list of pending rows would be read at every look-up, and flushed by some unlucky revision
  `CREATE INDEX revision_by_xid ON revision USING gin (xids) WITH (fastupdate = off)`,
  // what the chain says now
  `CREATE TABLE published_entry (
     environment_id text NOT NULL,
     table_id smallint NOT NULL,
     key bytea NOT NULL,
     value bytea NOT NULL,
     revision bigint NOT NULL,
     PRIMARY KEY (environment_id, table_id, key)
   )`,
  // placements (table 2) by the release that they refer to
  `CREATE INDEX published_entry_by_release ON published_entry (environment_id, value) WHERE table_id = 2`,
];
