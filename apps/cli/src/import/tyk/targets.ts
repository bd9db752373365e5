import type { Part } from '../source/part.js';
import type { TykApi } from './tyk-api.js';

/** @param proxy of a classic definition */
export function targetsOf(proxy: Part): TykApi['targets'] {
  proxy.skip('disable_strip_slash', 'check_host_against_uptime_tests');
  const url = proxy.at('target_url').text() ?? '';
  if (proxy.at('preserve_host_header').flag(false))
    proxy
      .at('preserve_host_header')
      .lost(
        'upstreams get the host of their target; the caller asked for the one in X-Forwarded-Host',
        'have the upstream look there',
      );
  const discovery = proxy.at('service_discovery');
  if (discovery.at('use_discovery_service').flag(false))
    discovery.lost('targets are named, and looked up in the DNS', 'name them in `upstream.targets`');
  else discovery.skipAll();
  const transport = proxy.at('transport');
  if (transport.at('ssl_insecure_skip_verify').flag(false))
    transport
      .at('ssl_insecure_skip_verify')
      .changed('certificates of upstreams are always verified', 'name their authority in `upstream.tls.ca`');
  transport.skip('ssl_force_common_name_check', 'ssl_ciphers', 'ssl_min_version', 'ssl_max_version');
  const list = proxy.at('target_list');
  const several = proxy.at('enable_load_balancing').flag(false) ? list.texts() : [];
  if (several.length === 0) list.skipAll();
  const targets = weighed(several.length > 0 ? several : [url]);
  if (targets.length === 0) proxy.at('target_url').lost('it is no http or https URL', 'name targets by hand');
  return targets;
}

/** Tyk weighs a target by naming it several times. */
export function weighed(urls: readonly string[]): TykApi['targets'] {
  const counts = new Map<string, number>();
  for (const url of urls) {
    const full = /^https?:\/\//.test(url) ? url : url.includes('://') ? '' : `http://${url}`;
    if (full !== '' && URL.canParse(full)) counts.set(full, (counts.get(full) ?? 0) + 1);
  }
  const equal = new Set(counts.values()).size <= 1;
  return [...counts].map(([url, weight]) => (equal ? { url } : { url, weight: Math.min(1000, weight) }));
}

export function limitedAsAWhole(at: Part): void {
  if ((at.at('rate').number() ?? 0) > 0) at.lost('limits are of plans', 'set `perApi` in the plans of this API');
  else at.skipAll();
}
