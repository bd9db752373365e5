import type { MigrationInterface, QueryRunner } from 'typeorm';

/** OAuth clients with their secrets, the keys that their tokens are signed by, and tokens that were revoked. */
export class OAuth1760000000011 implements MigrationInterface {
  readonly name = 'OAuth1760000000011';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('migrations go forward only; restore a backup instead'));
  }
}

const STATEMENTS = [
  // one row: the name that tokens bear as `iss`, the same for all masters of the database
  `CREATE TABLE token_authority (
     one boolean PRIMARY KEY DEFAULT true CHECK (one),
     issuer text NOT NULL
   )`,
  // id: the client_id. chain_id: the first 16 bytes of the SHA-256 of "<issuer>\\n<client_id>"
  // not_before: tokens that were issued before it are refused
  `CREATE TABLE oauth_client (
     id text PRIMARY KEY,
     application_id uuid NOT NULL REFERENCES application ON DELETE CASCADE,
     environment_id text NOT NULL REFERENCES environment,
     chain_id bytea NOT NULL CHECK (octet_length(chain_id) = 16),
     name text,
     scopes text[] NOT NULL,
     ips text[],
     token_seconds integer NOT NULL,
     expires_at timestamptz,
     not_before timestamptz,
     revoked_at timestamptz,
     revoked_reason text,
     version integer NOT NULL DEFAULT 1,
     created_at timestamptz NOT NULL DEFAULT now(),
     created_by text NOT NULL,
     UNIQUE (environment_id, chain_id)
   )`,
  `CREATE INDEX oauth_client_by_application ON oauth_client (application_id, created_at, id)`,
  // no secret: its SHA-256. A client has two while the former one is still taken
  `CREATE TABLE oauth_client_secret (
     client_id text NOT NULL REFERENCES oauth_client ON DELETE CASCADE,
     hash bytea NOT NULL CHECK (octet_length(hash) = 32),
     hint text NOT NULL,
     expires_at timestamptz,
     created_at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (client_id, hash)
   )`,
  // sealed: the private half, which only a master with the signing key \`sealed_by\` can open; leaves_at: when no token of it is left
  `CREATE TABLE token_key (
     kid text PRIMARY KEY,
     environment_id text NOT NULL REFERENCES environment ON DELETE CASCADE,
     public_jwk jsonb NOT NULL,
     sealed bytea NOT NULL,
     sealed_by text NOT NULL,
     signs_from timestamptz NOT NULL,
     leaves_at timestamptz,
     created_at timestamptz NOT NULL DEFAULT now(),
     created_by text NOT NULL
   )`,
  `CREATE INDEX token_key_by_environment ON token_key (environment_id, signs_from)`,
  `CREATE INDEX token_key_by_end ON token_key (leaves_at) WHERE leaves_at IS NOT NULL`,
  // chain_id: the first 16 bytes of the SHA-256 of "<issuer>\\n<jti>"; client_id: who revoked it by itself, null: an operator
  `CREATE TABLE revoked_token (
     environment_id text NOT NULL REFERENCES environment ON DELETE CASCADE,
     chain_id bytea NOT NULL CHECK (octet_length(chain_id) = 16),
     client_id text,
     expires_at timestamptz NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (environment_id, chain_id)
   )`,
  `CREATE INDEX revoked_token_by_end ON revoked_token (expires_at)`,
  `CREATE INDEX revoked_token_by_client ON revoked_token (client_id) WHERE client_id IS NOT NULL`,
  // where applications are published: in the environments in which they have one of these. Later kinds join it
  `CREATE VIEW credential AS
     SELECT application_id, environment_id FROM api_key
     UNION ALL SELECT application_id, environment_id FROM oauth_client`,
];
