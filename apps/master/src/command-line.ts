import { VERSION } from './version.js';

export const HELP = `helio-master ${VERSION}: takes every write and publishes it to the regions

  helio-master            start
  helio-master --check    only check the configuration
  helio-master --help     this text
  helio-master --version  the version

Settings are environment variables, or lines NAME: value of the YAML file that HELIO_CONFIG names:
  DATABASE_URL                  PostgreSQL, postgres://user:password@host:5432/database
  ARTIFACT_STORE                s3://bucket/prefix or file:///directory
  S3_ENDPOINT S3_ACCESS_KEY S3_SECRET_KEY S3_REGION    for an s3:// store
  HELIO_SIGNING_KEY             path of an Ed25519 private key in PEM
  HELIO_BOOTSTRAP_ADMIN_TOKEN   access token of the admin "bootstrap", at least 20 characters [none]
  HELIO_ISSUER                  URL of the masters as clients reach it, and the name that access tokens bear [http://localhost:PORT]
  HELIO_TOKEN_KEY_DAYS [30]  HELIO_TOKEN_KEY_NOTICE_SECONDS [600]    how long a key of tokens signs; is announced before
  HELIO_ISSUER_NETWORKS         CIDR blocks of private addresses from which keys of outside issuers may be fetched [none]
  HELIO_WEBHOOK_NETWORKS        CIDR blocks of private addresses to which webhooks may be sent, also over http [none]
  REDIS_URL                     wakes jobs on whichever master is free, redis://user:password@host:6379/0 [none]
  HELIO_BIND [0.0.0.0]  PORT [8080]  HELIO_DATABASE_POOL [20]  HELIO_LOG_LEVEL [info]
`;

/** Answers --help and --version and ends the process; refuses what it does not know. */
export function commandLine(args: readonly string[]): void {
  if (args.includes('--help')) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  if (args.includes('--version')) {
    process.stdout.write(`${VERSION}\n`);
    process.exit(0);
  }
  const unknown = args.find((arg) => arg !== '--check');
  if (unknown !== undefined) {
    process.stderr.write(`helio-master: "${unknown}" is not an option; --help lists them\n`);
    process.exit(2);
  }
}
