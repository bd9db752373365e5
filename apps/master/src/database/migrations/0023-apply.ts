import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What is declared in files: which set of documents something belongs to, and which release of an API they gave last. */
export class Apply1760000000023 implements MigrationInterface {
  readonly name = 'Apply1760000000023';

  async up(runner: QueryRunner): Promise<void> {
    for (const table of OWNED) {
      // on the row itself: what is deleted and made again by hand does not belong to anybody by its old name
      await runner.query(`ALTER TABLE ${table} ADD COLUMN apply_set text`);
      await runner.query(`CREATE INDEX ${table}_by_set ON ${table} (apply_set) WHERE apply_set IS NOT NULL`);
    }
    // the text that the id was made of, to be given back
    await runner.query('ALTER TABLE application ADD COLUMN apply_id text');
    // null: when it was made. Documents that go back to an older release make it the newest again
    await runner.query('ALTER TABLE release ADD COLUMN applied_at timestamptz');
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}

const OWNED = ['environment', 'region', 'plan', 'api', 'application', 'subscription', 'promotion_policy'];
