import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What replicas have counted of each release, now and then: the difference of two of them is what came between. */
export class ReleaseNumbers1760000000021 implements MigrationInterface {
  readonly name = 'ReleaseNumbers1760000000021';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}

const STATEMENTS = [
  // boot: numbers of one process of a replica only grow. `at` is when the master had them
  `CREATE TABLE release_sample (
     environment_id text NOT NULL,
     api_id text NOT NULL,
     digest bytea NOT NULL,
     region text NOT NULL,
     replica_id text NOT NULL,
     boot text NOT NULL,
     at timestamptz NOT NULL DEFAULT clock_timestamp(),
     requests bigint NOT NULL,
     errors bigint NOT NULL,
     latency bigint[] NOT NULL
   )`,
  `CREATE INDEX release_sample_by_api ON release_sample (environment_id, api_id, at)`,
  `CREATE INDEX release_sample_by_replica ON release_sample (replica_id, api_id, digest, at)`,
  `CREATE INDEX release_sample_by_age ON release_sample (at)`,
];
