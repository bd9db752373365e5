import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What keys may do and from where, keys that chains have forgotten, issuers of tokens that are trusted, and clients of theirs. */
export class Credentials1760000000012 implements MigrationInterface {
  readonly name = 'Credentials1760000000012';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}

const STATEMENTS = [
  // scopes: null: none; ips: null: from anywhere; forgotten_at: since when its chain has it no more, for ever
  `ALTER TABLE api_key
     ADD COLUMN scopes text[],
     ADD COLUMN ips text[],
     ADD COLUMN forgotten_at timestamptz`,
  // what a sweep looks for: the time after which nobody could use the key
  `CREATE INDEX api_key_to_forget ON api_key (least(revoked_at, expires_at))
     WHERE forgotten_at IS NULL AND (revoked_at IS NOT NULL OR expires_at IS NOT NULL)`,
  // claims: the first one that a token has names its client
  // keys: public JWKs as they go onto the chain; refused: which of the issuer's keys are not used, and why
  // fetched_at: when the keys were last known to be the issuer's; next_fetch_at: also the claim of the master that fetches them now
  `CREATE TABLE token_issuer (
     id uuid PRIMARY KEY,
     environment_id text NOT NULL REFERENCES environment,
     issuer text NOT NULL,
     jwks_uri text,
     audiences text[] NOT NULL,
     claim text NOT NULL,
     algorithms text[] NOT NULL,
     keys jsonb NOT NULL,
     refused jsonb NOT NULL,
     etag text,
     fetched_from text NOT NULL,
     fetched_at timestamptz NOT NULL,
     next_fetch_at timestamptz NOT NULL,
     failures integer NOT NULL DEFAULT 0,
     last_error text,
     version integer NOT NULL DEFAULT 1,
     created_at timestamptz NOT NULL DEFAULT now(),
     created_by text NOT NULL,
     UNIQUE (environment_id, issuer)
   )`,
  `CREATE INDEX token_issuer_by_next_fetch ON token_issuer (next_fetch_at)`,
  // chain_id: the first 16 bytes of the SHA-256 of "<issuer>\\n<client id>"
  `CREATE TABLE outside_client (
     id uuid PRIMARY KEY,
     application_id uuid NOT NULL REFERENCES application ON DELETE CASCADE,
     environment_id text NOT NULL REFERENCES environment,
     issuer_id uuid NOT NULL REFERENCES token_issuer ON DELETE CASCADE,
     client_id text NOT NULL,
     chain_id bytea NOT NULL CHECK (octet_length(chain_id) = 16),
     scopes text[],
     ips text[],
     not_before timestamptz,
     revoked_at timestamptz,
     revoked_reason text,
     version integer NOT NULL DEFAULT 1,
     created_at timestamptz NOT NULL DEFAULT now(),
     created_by text NOT NULL
   )`,
  // one that was revoked may be bound anew
  `CREATE UNIQUE INDEX outside_client_in_use ON outside_client (environment_id, chain_id) WHERE revoked_at IS NULL`,
  `CREATE INDEX outside_client_by_application ON outside_client (application_id, created_at, id)`,
  `CREATE INDEX outside_client_by_issuer ON outside_client (issuer_id)`,
  `CREATE OR REPLACE VIEW credential AS
     SELECT application_id, environment_id FROM api_key WHERE forgotten_at IS NULL
     UNION ALL SELECT application_id, environment_id FROM oauth_client
     UNION ALL SELECT application_id, environment_id FROM outside_client WHERE revoked_at IS NULL`,
];
