import type { MigrationInterface, QueryRunner } from 'typeorm';

/** From when on the numbers of a wave count: its start, or when it was resumed. */
export class CountedSince1760000000024 implements MigrationInterface {
  readonly name = 'CountedSince1760000000024';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE promotion ADD COLUMN counted_since timestamptz');
    await runner.query('UPDATE promotion SET counted_since = wave_since');
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}
