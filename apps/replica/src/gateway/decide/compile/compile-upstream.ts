import { hash } from 'node:crypto';
import type { Target, Upstream } from '#model';

/** How targets with https are spoken to. */
export interface TlsRules {
  /** PEM, instead of the well-known authorities */
  ca: string | null;
  /** of a pair of files on this machine */
  clientCertificate: string | null;
  /** instead of the target's host */
  serverName: string | null;
  minVersion: 'TLSv1.2' | 'TLSv1.3';
}

/** What holds for connections to one origin. */
export interface PoolRules {
  /** equal for targets that share their connections */
  name: string;
  /** `https://host:port` */
  origin: string;
  connectTimeoutMs: number;
  maxConnections: number;
  maxWaiting: number;
  /** null: by plain HTTP */
  tls: TlsRules | null;
}

export interface PassiveRules {
  /** in a row; 0: a target is never ejected */
  failures: number;
  ejectMs: number;
}

export interface BreakerRules {
  failurePercent: number;
  minimumRequests: number;
  openMs: number;
}

export interface CheckRules {
  path: string;
  intervalMs: number;
  timeoutMs: number;
  healthy: number;
  unhealthy: number;
  /** null: 2xx and 3xx */
  statuses: readonly number[] | null;
}

export interface CompiledTarget {
  /** `https://host:port` */
  origin: string;
  /** goes before the path; empty, or without a slash at its end */
  path: string;
  weight: number;
  pool: PoolRules;
  /** equal for targets that are checked alike, whose verdict they share; null: nothing is checked */
  check: string | null;
}

export interface CompiledUpstream {
  /** the API */
  api: string;
  targets: readonly CompiledTarget[];
  connectTimeoutMs: number;
  /** to the response's head */
  responseTimeoutMs: number;
  /** attempts after the first one */
  retries: number;
  passive: PassiveRules;
  /** null: never opens */
  breaker: BreakerRules | null;
  check: CheckRules | null;
}

const DEFAULT_CONNECT_MS = 2000;
const DEFAULT_RESPONSE_MS = 30_000;
const DEFAULT_RETRIES = 1;
const DEFAULT_CONNECTIONS = 256;
const DEFAULT_WAITING = 1024;

/** Where requests to an API go in one region. */
export function compileUpstream(api: string, upstream: Upstream, region: string): CompiledUpstream {
  const targets = upstream.regions?.[region]?.targets ?? upstream.targets;
  const { passive, active } = upstream.healthChecks ?? {};
  const { failurePercent, minimumRequests = 20, openMs = 5000 } = upstream.circuitBreaker ?? {};
  const check = active ? compileCheck(active) : null;
  return {
    api,
    targets: targets.map((target) => compileTarget(target, upstream, check)),
    connectTimeoutMs: upstream.connectTimeoutMs ?? DEFAULT_CONNECT_MS,
    responseTimeoutMs: upstream.responseTimeoutMs ?? DEFAULT_RESPONSE_MS,
    retries: upstream.retries ?? DEFAULT_RETRIES,
    passive: { failures: passive?.failures ?? 5, ejectMs: passive?.ejectMs ?? 10_000 },
    breaker: failurePercent === undefined ? null : { failurePercent, minimumRequests, openMs },
    check,
  };
}

type ActiveCheck = NonNullable<NonNullable<Upstream['healthChecks']>['active']>;

function compileCheck(active: ActiveCheck): CheckRules {
  const intervalMs = active.intervalMs ?? 10_000;
  return {
    path: active.path,
    intervalMs,
    timeoutMs: active.timeoutMs ?? Math.min(2000, intervalMs),
    healthy: active.healthy ?? 2,
    unhealthy: active.unhealthy ?? 3,
    statuses: active.statuses ?? null,
  };
}

function compileTarget(target: Target, upstream: Upstream, check: CheckRules | null): CompiledTarget {
  const url = new URL(target.url);
  const pool = compilePool(url, upstream);
  return {
    origin: url.origin,
    path: url.pathname.replace(/\/+$/, ''),
    weight: target.weight ?? 1,
    pool,
    check: check && `${pool.name} ${JSON.stringify(check)}`,
  };
}

function compilePool({ origin, protocol }: URL, upstream: Upstream): PoolRules {
  const { maxConnections = DEFAULT_CONNECTIONS, maxWaiting = DEFAULT_WAITING } = upstream.circuitBreaker ?? {};
  const connectTimeoutMs = upstream.connectTimeoutMs ?? DEFAULT_CONNECT_MS;
  const tls = protocol === 'https:' ? compileTls(upstream.tls ?? {}) : null;
  // authorities are long, and a name is looked up by its text
  const trust = tls ? hash('sha256', JSON.stringify(tls), 'base64url') : 'plain';
  return {
    name: `${origin} ${connectTimeoutMs} ${maxConnections} ${maxWaiting} ${trust}`,
    origin,
    connectTimeoutMs,
    maxConnections,
    maxWaiting,
    tls,
  };
}

function compileTls(tls: NonNullable<Upstream['tls']>): TlsRules {
  return {
    ca: tls.ca ?? null,
    clientCertificate: tls.clientCertificate ?? null,
    serverName: tls.serverName ?? null,
    minVersion: tls.minVersion === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
  };
}
