import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How releases travel from one environment to the next, and the work that has to be gone on with. */
export class Promotions1760000000020 implements MigrationInterface {
  readonly name = 'Promotions1760000000020';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}

const STATEMENTS = [
  // step: how many transitions it has made; each is one transaction, and one job. xid: the transaction that changed placements
  // last, where it changed any. A promotion outlives its environment and its APIs: it is history then
  `CREATE TABLE promotion (
     id uuid PRIMARY KEY,
     kind text NOT NULL CHECK (kind IN ('promotion', 'rollback')),
     environment_id text NOT NULL,
     environment_before text,
     state text NOT NULL,
     wave integer NOT NULL,
     step integer NOT NULL DEFAULT 0,
     waves jsonb NOT NULL,
     gates jsonb NOT NULL,
     approvals integer NOT NULL,
     skip boolean NOT NULL,
     reason text,
     because jsonb,
     xid bigint,
     wave_since timestamptz,
     state_since timestamptz NOT NULL DEFAULT now(),
     requested_by text NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now()
   )`,
  `CREATE INDEX promotion_by_age ON promotion (created_at, id)`,
  `CREATE TABLE promotion_release (
     promotion_id uuid NOT NULL REFERENCES promotion,
     api_id text NOT NULL,
     digest bytea NOT NULL CHECK (octet_length(digest) = 32),
     PRIMARY KEY (promotion_id, api_id)
   )`,
  // there is a row as long as the promotion is open: one for an API in an environment, and the API stays
  `CREATE TABLE promotion_lock (
     environment_id text NOT NULL REFERENCES environment ON DELETE CASCADE,
     api_id text NOT NULL REFERENCES api,
     promotion_id uuid NOT NULL REFERENCES promotion,
     PRIMARY KEY (environment_id, api_id)
   )`,
  `CREATE INDEX promotion_lock_by_promotion ON promotion_lock (promotion_id)`,
  `CREATE INDEX promotion_lock_by_api ON promotion_lock (api_id)`,
  // what a region had, and what it was given; null for no placement of its own. The key is why it is given once
  `CREATE TABLE promotion_change (
     promotion_id uuid NOT NULL REFERENCES promotion,
     api_id text NOT NULL,
     region text NOT NULL,
     wave integer NOT NULL,
     before bytea,
     after bytea,
     placed_at timestamptz NOT NULL DEFAULT now(),
     restored_at timestamptz,
     PRIMARY KEY (promotion_id, api_id, region)
   )`,
  `CREATE TABLE promotion_approval (
     promotion_id uuid NOT NULL REFERENCES promotion,
     actor text NOT NULL,
     comment text,
     at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (promotion_id, actor)
   )`,
  // written under the lock of the promotion's row: within one promotion, ids are in the order of the commits
  `CREATE TABLE promotion_event (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     promotion_id uuid NOT NULL REFERENCES promotion,
     type text NOT NULL,
     actor text NOT NULL,
     data jsonb NOT NULL,
     at timestamptz NOT NULL DEFAULT now()
   )`,
  `CREATE INDEX promotion_event_by_promotion ON promotion_event (promotion_id, id)`,
  `CREATE TABLE promotion_policy (
     environment_id text PRIMARY KEY REFERENCES environment ON DELETE CASCADE,
     approvals integer NOT NULL,
     version integer NOT NULL DEFAULT 1
   )`,
  // which releases have served where, whoever placed them: what one may go back to
  `CREATE TABLE placement_served (
     environment_id text NOT NULL REFERENCES environment ON DELETE CASCADE,
     api_id text NOT NULL REFERENCES api ON DELETE CASCADE,
     digest bytea NOT NULL,
     PRIMARY KEY (environment_id, api_id, digest)
   )`,
  `INSERT INTO placement_served SELECT DISTINCT environment_id, api_id, digest FROM placement`,
  // what is to be done, and when; a row that is done is deleted. lease_until: by then whoever runs it is done, or has gone
  `CREATE TABLE job (
     id text PRIMARY KEY,
     kind text NOT NULL,
     subject text NOT NULL,
     state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'failed')),
     run_at timestamptz NOT NULL DEFAULT now(),
     attempts integer NOT NULL DEFAULT 0,
     lease_until timestamptz,
     worker text,
     error text,
     created_at timestamptz NOT NULL DEFAULT now(),
     updated_at timestamptz NOT NULL DEFAULT now()
   )`,
  `CREATE INDEX job_by_time ON job (run_at) WHERE state <> 'failed'`,
];
