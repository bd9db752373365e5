import { VERSION } from '../version.js';

export const HELP = `helio-replica ${VERSION}: serves the APIs of one region, from its own disk

  helio-replica            start
  helio-replica --check    only check the configuration
  helio-replica --help     this text
  helio-replica --version  the version

Settings are environment variables, or lines NAME: value of the YAML file that HELIO_CONFIG names:
  HELIO_ENVIRONMENT HELIO_REGION    what it serves, and where
  HELIO_REPLICA                     its id [given by the master, or <region>-<random>; kept in the state directory]
  HELIO_STATE_DIR                   a directory on a local disk, for this replica alone
  HELIO_MASTER_URL HELIO_JOIN_TOKEN the master to join, once, and to follow; URLs of several instances with commas [none: store only]
  HELIO_PEERS                       http(s)://host:adminport of other replicas, file:///dir of copies, with commas [none]
  ARTIFACT_STORE                    s3://bucket/prefix or file:///directory [what the master tells]
  S3_ENDPOINT S3_ACCESS_KEY S3_SECRET_KEY S3_REGION    for an s3:// store
  HELIO_TRUSTED_KEYS                public keys in base64 with commas between them, or file:///path [what the master tells]
  REDIS_URL                         the region's Redis, which counts limits for all of its replicas: redis://user:password@host:6379/0, rediss://,
                                    redis+sentinel://host,host/name, redis+cluster://host,host [none: each replica counts for itself]
  HELIO_TLS_CERTIFICATES            directories with <name>.crt and <name>.key, or cert.pem:key.pem, with commas [none: no port in TLS]
  GATEWAY_TLS_PORT [9443]  HELIO_ADMIN_CERTIFICATES [none: the admin port is in plain HTTP]
  GATEWAY_PORT [9080]  ADMIN_PORT [9180]  HELIO_BIND [0.0.0.0]  HELIO_ADMIN_BIND [HELIO_BIND]
  HELIO_POLL_SECONDS [2]  HELIO_STREAM_POLL_SECONDS [60]   between looks at the store, without and with the master's stream
  HELIO_MAX_CONNECTIONS [10000]  HELIO_MAX_HEAD_BYTES [16384]  HELIO_MAX_BODY_MB [1024]  HELIO_MAX_REQUESTS [100000]
  HELIO_MAX_PIPELINED [64]  HELIO_HEAD_SECONDS [10]  HELIO_BODY_SECONDS [60]  HELIO_BODY_RATE [500]  HELIO_IDLE_SECONDS [65]   what clients may cost
  HELIO_WORKERS [cores]  HELIO_CACHE_MB [64, each worker]  HELIO_LOG_LEVEL [info]  HELIO_ACCESS_LOG [off]
  HELIO_UPSTREAM_CERTIFICATES       a directory with <name>.crt and <name>.key, shown to upstreams [none]
  OTEL_EXPORTER_OTLP_ENDPOINT  OTEL_EXPORTER_OTLP_HEADERS  OTEL_EXPORTER_OTLP_PROTOCOL  OTEL_SERVICE_NAME
  OTEL_TRACES_SAMPLER  OTEL_TRACES_SAMPLER_ARG
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
    process.stderr.write(`helio-replica: "${unknown}" is not an option; --help lists them\n`);
    process.exit(2);
  }
}
