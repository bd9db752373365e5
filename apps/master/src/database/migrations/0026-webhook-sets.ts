import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Webhooks are declared in files, too: which set of documents one belongs to, and the text that its id was made of. */
export class WebhookSets1760000000026 implements MigrationInterface {
  readonly name = 'WebhookSets1760000000026';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE webhook ADD COLUMN apply_set text, ADD COLUMN apply_id text');
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}
