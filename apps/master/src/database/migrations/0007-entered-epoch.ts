import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A term that has not found out yet whether its database has forgotten something speaks for nobody. */
export class EnteredEpoch1760000000007 implements MigrationInterface {
  readonly name = 'EnteredEpoch1760000000007';

  async up(runner: QueryRunner): Promise<void> {
    // of the newest term that was let publish, or of the newest revision where that was taken over: heads are signed for it; 0: none
    await runner.query('ALTER TABLE chain ADD COLUMN entered_epoch integer NOT NULL DEFAULT 0');
    await runner.query('UPDATE chain SET entered_epoch = epoch');
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}
