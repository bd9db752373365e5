import type { Definition } from '#model';
import type { Part } from '../source/part.js';

type Upstream = Definition['upstream'];

const MOST_WEIGHT = 1000;
const LONGEST_MS = 600_000;

/**
 * What a service sends to. Its timeouts are carried over as they are, also Kong's own of a minute: what was served after 40
 * seconds is to be served here, too.
 *
 * @param path that goes before what is left of a request's path
 */
export function upstreamOf(at: Part, upstreams: ReadonlyMap<string, Part>, path: string): Upstream | null {
  at.skip('name', 'enabled', 'path', 'client_certificate_id', 'tls_sans');
  const url = at.at('url').text();
  const parsed = url !== undefined && URL.canParse(url) ? new URL(url) : null;
  const protocol = (parsed?.protocol.slice(0, -1) ?? at.at('protocol').text() ?? 'http').toLowerCase();
  const host = parsed?.hostname ?? at.at('host').text();
  const port = parsed ? parsed.port : (at.at('port').number() ?? (protocol === 'https' ? 443 : 80));
  if (protocol !== 'http' && protocol !== 'https') {
    at.lost(
      `upstreams speak http or https here, not ${protocol === 'grpcs' ? 'grpc' : 'others'}`,
      'leave it where it is',
    );
    return null;
  }
  if (!host) {
    at.lost('it has no host', 'mend the file and convert it again');
    return null;
  }
  const balanced = upstreams.get(host);
  const targets = balanced
    ? targetsOf(balanced, protocol, path)
    : [{ url: `${protocol}://${host}${port === '' ? '' : `:${port}`}${path}` }];
  if (targets.length === 0) {
    at.lost('its upstream has no target with a weight', 'mend the file and convert it again');
    return null;
  }
  tls(at, protocol === 'https');
  return {
    targets,
    ...timeouts(at),
    ...(balanced ? healthChecks(balanced) : {}),
  };
}

function targetsOf(at: Part, protocol: string, path: string): Upstream['targets'] {
  const algorithm = at.at('algorithm');
  if (algorithm.text() !== undefined && algorithm.text() !== 'round-robin' && algorithm.text() !== 'least-connections')
    algorithm.changed(
      'a request goes to the target with the fewest under way for its weight',
      'nothing, if any target will do',
    );
  const hashing = at.at('hash_on');
  if (hashing.text() !== undefined && hashing.text() !== 'none')
    hashing.lost('no caller is bound to a target', 'keep sessions where every target finds them');
  at.skip('slots', 'hash_fallback', 'hash_on_cookie_path', 'use_srv_name');
  const targets = at
    .at('targets')
    .items()
    .flatMap((target) => {
      target.skip('id', 'tags', 'created_at', 'updated_at', 'upstream');
      const address = target.at('target').text();
      const weight = target.at('weight').number() ?? 100;
      if (address !== undefined && weight <= 0)
        target.lost('a target of weight 0 gets no requests', 'add it to the upstream when it may have some');
      if (address === undefined || weight <= 0) return [];
      const withPort = /:\d+$/.test(address) ? address : `${address}:8000`; // Kong's own where none is said
      return [{ url: `${protocol}://${withPort}${path}`, weight }];
    });
  const scale = Math.max(...targets.map(({ weight }) => weight), 0);
  const equal = targets.every(({ weight }) => weight === scale);
  return targets.map(({ url, weight }) => {
    if (equal) return { url };
    return {
      url,
      weight: scale <= MOST_WEIGHT ? Math.ceil(weight) : Math.max(1, Math.round((weight * MOST_WEIGHT) / scale)),
    };
  });
}

function timeouts(at: Part): Pick<Upstream, 'connectTimeoutMs' | 'responseTimeoutMs' | 'retries'> {
  const bounded = (value: number): number => Math.min(LONGEST_MS, Math.max(1, Math.floor(value)));
  const connect = at.at('connect_timeout').number();
  const read = at.at('read_timeout');
  const retries = at.at('retries').number();
  at.skip('write_timeout'); // a body that is not taken is a matter of the answer's timeout here
  return {
    ...(connect === undefined ? {} : { connectTimeoutMs: bounded(connect) }),
    responseTimeoutMs: bounded(read.number() ?? 60_000),
    ...(retries === undefined ? {} : { retries: Math.min(5, Math.max(0, Math.floor(retries))) }),
  };
}

function tls(at: Part, https: boolean): void {
  const verify = at.at('tls_verify');
  if (https && !verify.flag(false))
    at.changed(
      'certificates of upstreams are always verified, and were not',
      'name their authority in `upstream.tls.ca`, unless a well-known one vouches for them',
    );
  for (const field of ['ca_certificates', 'client_certificate'] as const)
    if (at.at(field).present)
      at.at(field).lost('certificates are not in definitions', 'see `upstream.tls` and HELIO_UPSTREAM_CERTIFICATES');
  at.skip('tls_verify_depth');
}

/** Only what says when a target is asked and passed over; the thresholds of each kind of failure are one here. */
function healthChecks(at: Part): Pick<Upstream, 'healthChecks'> {
  const checks = at.at('healthchecks');
  checks.skip('threshold');
  const active = checks.at('active');
  const passive = checks.at('passive');
  const every = active.at('healthy').at('interval').number() ?? 0;
  const whileBad = active.at('unhealthy').at('interval').number() ?? 0;
  const failures = passive.at('unhealthy').at('http_failures').number() ?? 0;
  const interval = Math.max(every, whileBad);
  const times = (part: Part): number | undefined => {
    const value = part.number() ?? 0;
    return value > 0 ? Math.min(100, Math.floor(value)) : undefined;
  };
  const timeout = (active.at('timeout').number() ?? 1) * 1000;
  const path = active.at('http_path').text() ?? '/';
  const healthy = times(active.at('healthy').at('successes'));
  const unhealthy = times(active.at('unhealthy').at('http_failures'));
  for (const side of [active, passive]) {
    side.skip('type', 'concurrency', 'https_verify_certificate', 'https_sni', 'headers');
    side.at('healthy').skip('http_statuses', 'successes');
    side.at('unhealthy').skip('http_statuses', 'tcp_failures', 'timeouts', 'http_failures');
  }
  const intervalMs = Math.min(600_000, Math.max(500, interval * 1000));
  const found = {
    ...(interval > 0
      ? {
          active: {
            path,
            intervalMs,
            timeoutMs: Math.min(intervalMs, Math.max(1, Math.floor(timeout))),
            ...(healthy === undefined ? {} : { healthy }),
            ...(unhealthy === undefined ? {} : { unhealthy }),
          },
        }
      : {}),
    ...(failures > 0 ? { passive: { failures: Math.min(1000, Math.floor(failures)) } } : {}),
  };
  if (Object.keys(found).length === 0) return {};
  checks.changed('failures of all kinds count alike here', 'see `upstream.healthChecks`');
  return { healthChecks: found };
}
