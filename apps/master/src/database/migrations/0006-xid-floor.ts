import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Transaction ids begin anew in another database: those that revisions of before name mean nothing there. */
export class XidFloor1760000000006 implements MigrationInterface {
  readonly name = 'XidFloor1760000000006';

  async up(runner: QueryRunner): Promise<void> {
    // the newest revision of another database that this chain has come from, and when it was issued; 0: all are of this one
    await runner.query(
      'ALTER TABLE chain ADD COLUMN xid_floor bigint NOT NULL DEFAULT 0, ADD COLUMN xid_floor_at timestamptz',
    );
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}
