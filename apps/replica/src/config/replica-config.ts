import { resolve } from 'node:path';
import { openStore, readTrustedKeys, type S3Settings, StoreError } from '#artifacts';
import { ConfigError, type FieldFault, type LogLevel, loadConfig } from '#platform';
import { parseRedisUrl, type RedisAddress } from '#throttle';
import type { Limits } from '../gateway/engine/limits.js';
import { type Identity, readIdentity } from '../identity/identity.js';
import { inheritedFaults, inheritedFd } from './inherited-port.js';
import { limitsOf } from './limit-settings.js';
import type { TraceOptions } from '../gateway/engine/trace/trace-options.js';
import { VERSION } from '../version.js';
import { traceFaults, traceOptions } from './trace-settings.js';
import { tlsFaults, type TlsPortConfig, tlsPortOf } from './tls-settings.js';
import { SETTINGS_OF_OTHERS, type Settings, settings } from './settings.js';

/** Everything that this process was told, checked and frozen. */
export interface ReplicaConfig {
  environment: string;
  region: string;
  /** null: kept from before, or made up */
  replica: string | null;
  /** absolute */
  stateDir: string;
  /** who it has been until now; null on the first start */
  identity: Identity | null;
  /** urls: of its instances; any of them will do */
  master: { urls: readonly string[]; joinToken: string | null } | null;
  /** `http(s)://host:adminport` of other replicas, `file:///` of copied directories */
  peers: readonly string[];
  /** null: what the master answers to the join */
  storeUrl: string | null;
  s3: S3Settings | undefined;
  /** beside those that the chain names; null: what the master answers to the join, until the chain names some */
  trustedKeys: string[] | null;
  /** that counts for the whole region; null: this node counts alone */
  redis: RedisAddress | null;
  workers: number;
  /** answers of upstreams that one worker may keep */
  cacheBytes: number;
  /** what clients may cost each worker */
  limits: Limits;
  /** directory of certificates that upstreams are shown, absolute; null: there are none */
  certificates: string | null;
  gatewayPort: number;
  /** the descriptor of the gateway's port, if it is open already; `gatewayPort` and `bind` do not matter to it then */
  inheritedFd: number | null;
  /** null: the gateway has no port in TLS */
  tls: TlsPortConfig | null;
  adminPort: number;
  /** of the admin port, as they are set; null: it speaks plain HTTP */
  adminCertificates: string | null;
  bind: string;
  adminBind: string;
  /** share of the requests that get a line on standard output; 0: none */
  accessLog: number;
  traces: TraceOptions;
  /** between two looks at the head: without a stream, and with one */
  pollMs: number;
  streamPollMs: number;
  logLevel: LogLevel;
}

/** @throws ConfigError with every fault: of single settings, or of what they mean together */
export function replicaConfig(env: Record<string, string | undefined>): Readonly<ReplicaConfig> {
  let identity: Identity | null = null;
  const given = loadConfig(settings, env, {
    others: SETTINGS_OF_OTHERS,
    together: (valid) => {
      const ports = [...portFaults(valid), ...inheritedFaults(env, process.pid)];
      const kept = identityIn(valid.HELIO_STATE_DIR);
      if ('faults' in kept) return [...kept.faults, ...ports, ...keyFaults(valid)];
      identity = kept.identity;
      return [
        ...ports,
        ...identityFaults(valid, identity),
        ...storeFaults(valid, identity),
        ...tlsFaults(valid),
        ...keyFaults(valid),
        ...traceFaults(valid),
        // what is there and wrong is not missing
        ...sourceFaults({ ...env, ...valid }, identity),
      ];
    },
  });
  return Object.freeze({ ...configOf(given, identity), inheritedFd: inheritedFd(env, process.pid) });
}

/** The settings as they are given, each by itself. @throws ConfigError */
export function givenSettings(env: Record<string, string | undefined>): Settings {
  return loadConfig(settings, env, { others: SETTINGS_OF_OTHERS });
}

function identityIn(directory: string | undefined): { identity: Identity | null } | { faults: FieldFault[] } {
  try {
    return { identity: directory === undefined ? null : readIdentity(resolve(directory)) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { faults: error.faults };
  }
}

function configOf(given: Settings, identity: Identity | null): Omit<ReplicaConfig, 'inheritedFd'> {
  return {
    environment: given.HELIO_ENVIRONMENT,
    region: given.HELIO_REGION,
    replica: given.HELIO_REPLICA ?? null,
    stateDir: resolve(given.HELIO_STATE_DIR),
    identity,
    master: given.HELIO_MASTER_URL ? { urls: given.HELIO_MASTER_URL, joinToken: given.HELIO_JOIN_TOKEN ?? null } : null,
    peers: given.HELIO_PEERS ?? [],
    storeUrl: given.ARTIFACT_STORE ?? identity?.joined?.store ?? null,
    s3: s3Of(given),
    trustedKeys: given.HELIO_TRUSTED_KEYS === undefined ? null : readTrustedKeys(given.HELIO_TRUSTED_KEYS),
    redis: given.REDIS_URL === undefined ? null : parseRedisUrl(given.REDIS_URL),
    workers: given.HELIO_WORKERS,
    cacheBytes: given.HELIO_CACHE_MB * 1024 * 1024,
    limits: limitsOf(given),
    certificates: given.HELIO_UPSTREAM_CERTIFICATES ? resolve(given.HELIO_UPSTREAM_CERTIFICATES) : null,
    gatewayPort: given.GATEWAY_PORT,
    tls: tlsPortOf(given),
    adminPort: given.ADMIN_PORT,
    adminCertificates: given.HELIO_ADMIN_CERTIFICATES ?? null,
    bind: given.HELIO_BIND,
    adminBind: given.HELIO_ADMIN_BIND ?? given.HELIO_BIND,
    accessLog: given.HELIO_ACCESS_LOG,
    traces: traceOptions(given, {
      'service.version': VERSION,
      'deployment.environment.name': given.HELIO_ENVIRONMENT,
      'cloud.region': given.HELIO_REGION,
    }),
    pollMs: given.HELIO_POLL_SECONDS * 1000,
    streamPollMs: given.HELIO_STREAM_POLL_SECONDS * 1000,
    logLevel: given.HELIO_LOG_LEVEL,
  };
}

function s3Of({ S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY, S3_REGION }: Partial<Settings>): S3Settings | undefined {
  if (!S3_ENDPOINT && !S3_ACCESS_KEY && !S3_SECRET_KEY) return undefined;
  return {
    endpoint: S3_ENDPOINT ?? '',
    accessKey: S3_ACCESS_KEY ?? '',
    secretKey: S3_SECRET_KEY ?? '',
    region: S3_REGION,
  };
}

function portFaults(valid: Partial<Settings>): FieldFault[] {
  const faults: FieldFault[] = [];
  const differ = (field: PortName, other: PortName): void => {
    const port = valid[field];
    if (port === undefined || port === 0 || port !== valid[other]) return;
    const problem = `is ${port}, and so is ${other}`;
    faults.push({ field, problem, expected: 'choose another for one of the two' });
  };
  differ('ADMIN_PORT', 'GATEWAY_PORT');
  differ('GATEWAY_TLS_PORT', 'GATEWAY_PORT');
  differ('GATEWAY_TLS_PORT', 'ADMIN_PORT');
  return faults;
}

function keyFaults({ HELIO_TRUSTED_KEYS }: Partial<Settings>): FieldFault[] {
  try {
    if (HELIO_TRUSTED_KEYS !== undefined) readTrustedKeys(HELIO_TRUSTED_KEYS);
    return [];
  } catch (error) {
    return [{ field: 'HELIO_TRUSTED_KEYS', problem: (error as Error).message }];
  }
}

/** A state directory is one replica's: nobody else goes on with its id, its token or its state. */
function identityFaults(valid: Partial<Settings>, identity: Identity | null): FieldFault[] {
  const { HELIO_ENVIRONMENT, HELIO_REGION, HELIO_REPLICA, HELIO_STATE_DIR: directory } = valid;
  const faults: FieldFault[] = [];
  const differs = (field: string, given: string | undefined, kept: string | undefined): void => {
    if (given === undefined || kept === undefined || given === kept) return;
    const problem = `is ${given}, but the state in ${directory} is that of ${kept}`;
    faults.push({ field, problem, expected: 'correct it, or give this replica another HELIO_STATE_DIR' });
  };
  differs('HELIO_ENVIRONMENT', HELIO_ENVIRONMENT, identity?.environment);
  differs('HELIO_REGION', HELIO_REGION, identity?.region);
  differs('HELIO_REPLICA', HELIO_REPLICA, identity?.replica);
  return faults;
}

function storeFaults(valid: Partial<Settings>, identity: Identity | null): FieldFault[] {
  const url = valid.ARTIFACT_STORE ?? identity?.joined?.store;
  if (url === undefined) return [];
  try {
    openStore(url, { s3: s3Of(valid) });
    return [];
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return [{ field: 'ARTIFACT_STORE', problem: error.message }];
  }
}

type PortName = 'GATEWAY_PORT' | 'GATEWAY_TLS_PORT' | 'ADMIN_PORT';
type SourceName = 'HELIO_MASTER_URL' | 'HELIO_JOIN_TOKEN' | 'HELIO_TRUSTED_KEYS' | 'ARTIFACT_STORE';
type SourceSettings = Partial<Record<SourceName | 'HELIO_PEERS', unknown>>;

/** Where the chain comes from and whom to believe has to be known, or a master that tells it. */
function sourceFaults(given: SourceSettings, identity: Identity | null): FieldFault[] {
  if (given.HELIO_JOIN_TOKEN && !given.HELIO_MASTER_URL) {
    return [{ field: 'HELIO_MASTER_URL', problem: 'must be given with HELIO_JOIN_TOKEN: the master to join' }];
  }
  if (identity?.joined || given.HELIO_JOIN_TOKEN) return [];
  if (given.HELIO_MASTER_URL) {
    return [
      { field: 'HELIO_JOIN_TOKEN', problem: 'must be given with HELIO_MASTER_URL until this replica has joined' },
    ];
  }
  const faults: FieldFault[] = [];
  const missing = (field: SourceName, what: string): void => {
    const expected = 'or HELIO_MASTER_URL and HELIO_JOIN_TOKEN, so that the master tells it';
    if (!given[field]) faults.push({ field, problem: `must be given: ${what}`, expected });
  };
  missing('HELIO_TRUSTED_KEYS', 'the public keys that sign the chain');
  if (!given.HELIO_PEERS)
    missing('ARTIFACT_STORE', 's3://bucket/prefix or file:///directory; HELIO_PEERS will do in its place');
  return faults;
}
