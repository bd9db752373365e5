import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Limits of a plan for each route and for an API as a whole, and the plan of an API's open routes. */
export class PlanScopes1760000000013 implements MigrationInterface {
  readonly name = 'PlanScopes1760000000013';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE plan ADD COLUMN per_route jsonb, ADD COLUMN per_api jsonb');
    // a release never changes: while there is one that names the plan, it may be placed, and the plan has to stay
    await runner.query('ALTER TABLE release ADD COLUMN open_plan text REFERENCES plan');
    await runner.query('CREATE INDEX release_by_open_plan ON release (open_plan) WHERE open_plan IS NOT NULL');
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}
