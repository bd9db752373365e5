import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When an OAuth client was used last: as keys have it. */
export class ClientUse1760000000014 implements MigrationInterface {
  readonly name = 'ClientUse1760000000014';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE oauth_client ADD COLUMN last_used_at timestamptz');
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}
