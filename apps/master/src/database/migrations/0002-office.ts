import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What terms of office leave behind: fences, restores, and the keys that chains are signed with. */
export class Office1760000000002 implements MigrationInterface {
  readonly name = 'Office1760000000002';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}

const STATEMENTS = [
  // database_id: which database the last term was sure to be on, `databaseIdentity`; another one may have gone back in time
  // fence: why nothing is published, a `Fence`; null: nothing stands in the way
  // decision: what an operator said about a fence or a database that went back; the next term carries it out
  // discarded_epoch: heads of the store up to this epoch that are not of this chain are written over
  `ALTER TABLE chain
     ADD COLUMN database_id text,
     ADD COLUMN fence jsonb,
     ADD COLUMN decision text CHECK (decision IN ('adopt', 'discard-theirs', 'proceed')),
     ADD COLUMN decided_by text,
     ADD COLUMN discarded_epoch bigint NOT NULL DEFAULT 0`,
  // 32 raw bytes in base64. Empty until the first rotation: each chain is signed with the key of its first term
  `CREATE TABLE signing_key (
     public_key text PRIMARY KEY,
     key_id text NOT NULL UNIQUE,
     added_at timestamptz NOT NULL DEFAULT now(),
     added_by text NOT NULL,
     retired_at timestamptz,
     retired_by text
   )`,
  // each time that a database was behind its chain: which revisions it took over
  `CREATE TABLE restore (
     id uuid PRIMARY KEY,
     environment_id text NOT NULL,
     began_at timestamptz NOT NULL DEFAULT now(),
     finished_at timestamptz,
     source text NOT NULL,
     from_revision bigint NOT NULL,
     to_revision bigint NOT NULL,
     theirs_epoch integer NOT NULL,
     missing_from bigint,
     missing_to bigint,
     dropped_from bigint,
     dropped_to bigint,
     revocations integer NOT NULL DEFAULT 0,
     changed_back integer NOT NULL DEFAULT 0
   )`,
  `CREATE INDEX restore_by_age ON restore (began_at, id)`,
  `CREATE UNIQUE INDEX restore_under_way ON restore (environment_id) WHERE finished_at IS NULL`,
  // kind: revocation (found on the chain, to be kept), kept (a row was set so), changed (the rows say otherwise than the chain did)
  `CREATE TABLE restore_item (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     restore_id uuid NOT NULL REFERENCES restore ON DELETE CASCADE,
     kind text NOT NULL CHECK (kind IN ('revocation', 'kept', 'changed')),
     what text NOT NULL,
     key bytea NOT NULL,
     target text NOT NULL,
     detail jsonb,
     UNIQUE (restore_id, kind, what, key)
   )`,
];
