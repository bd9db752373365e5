import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Where each replica is connected, and where it stands: written far more often than its whole status. */
export class Fleet1760000000003 implements MigrationInterface {
  readonly name = 'Fleet1760000000003';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}

const STATEMENTS = [
  // connected_since stays when the connection has gone: what an older connection still has to say is known by it
  `ALTER TABLE replica
     ADD COLUMN connected_instance text,
     ADD COLUMN connected_since timestamptz,
     ADD COLUMN epoch integer,
     ADD COLUMN revision bigint,
     ADD COLUMN position_at timestamptz,
     ADD COLUMN lag_ms double precision,
     ADD COLUMN state_since timestamptz`,
  `UPDATE replica SET epoch = (status->>'epoch')::integer, revision = (status->>'revision')::bigint, position_at = reported_at,
     lag_ms = (status->>'lagMs')::double precision, state_since = reported_at WHERE status IS NOT NULL`,
  // rows are rewritten all the time, in the room that is left beside them
  `ALTER TABLE replica SET (fillfactor = 50)`,
];
