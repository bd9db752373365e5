import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What each chain has in the artifact store, beyond its head. */
export class Store1760000000005 implements MigrationInterface {
  readonly name = 'Store1760000000005';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}

const STATEMENTS = [
  // Not in `chain`, whose row the publisher's transactions read and write: they would fail with each of these updates.
  // delta_floor, segment_floor: deltas and segments up to there are not kept in the store, and not written again;
  // segmented: every segment that ends up to there was made, or would have been too large
  `CREATE TABLE store_progress (
     environment_id text PRIMARY KEY,
     delta_floor bigint NOT NULL DEFAULT 0,
     segment_floor bigint NOT NULL DEFAULT 0,
     segmented bigint NOT NULL DEFAULT 0
   )`,
  // snapshots that a head has named; bytes: manifest and blobs; key_id: who signed it
  `CREATE TABLE store_snapshot (
     environment_id text NOT NULL,
     revision bigint NOT NULL,
     bytes bigint NOT NULL,
     key_id bytea NOT NULL,
     announced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
     PRIMARY KEY (environment_id, revision)
   )`,
];
