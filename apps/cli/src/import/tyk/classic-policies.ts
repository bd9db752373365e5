import type { Policies } from '#model';
import { type HeaderEdits, keep, keepAddresses, keepBodyLimit, keepCors, putHeader } from '../model/policies.js';
import type { Part } from '../source/part.js';

export function policiesOf(at: Part, data: Part | undefined): Policies {
  const policies: Policies = {};
  const cors = at.at('CORS');
  if (cors.at('enable').flag(false)) keepTykCors(policies, cors);
  else cors.skipAll();
  const allow = at.at('enable_ip_whitelisting').flag(false) ? at.at('allowed_ips').texts() : [];
  const deny = at.at('enable_ip_blacklisting').flag(false) ? at.at('blacklisted_ips').texts() : [];
  at.skip('allowed_ips', 'blacklisted_ips');
  if (allow.length + deny.length > 0) keepAddresses(policies, { allow, deny }, at.at('allowed_ips'));
  const cache = at.at('cache_options');
  if (cache.at('enable_cache').flag(false)) {
    cache.skip(
      'cache_timeout',
      'cache_response_codes',
      'cache_by_headers',
      'cache_control_ttl_header',
      'enable_upstream_cache_control',
    );
    if (cache.at('cache_all_safe_requests').flag(false)) keep(policies, 'cache', { ttlSeconds: ttlOf(at) }, cache);
  } else cache.skipAll();
  if (!data) return policies;
  const size = data.at('global_size_limit');
  if ((size.number() ?? 0) > 0) keepBodyLimit(policies, size.number(), size);
  keepHeaders(policies, 'requestHeaders', data, 'global_headers', 'global_headers_remove');
  keepHeaders(policies, 'responseHeaders', data, 'global_response_headers', 'global_response_headers_remove');
  return policies;
}

export function ttlOf(at: Part): number {
  return Math.max(0, Math.floor(at.at('cache_options').at('cache_timeout').number() ?? 60));
}

export function keepTykCors(policies: Policies, cors: Part): void {
  const [origins, credentials] = cors.at('allowed_origins').present
    ? (['allowed_origins', 'allow_credentials'] as const)
    : (['allowedOrigins', 'allowCredentials'] as const);
  const either = (classic: string, oas: string): Part => (cors.at(classic).present ? cors.at(classic) : cors.at(oas));
  keepCors(
    policies,
    {
      origins: cors.at(origins).texts(),
      methods: either('allowed_methods', 'allowedMethods').texts(),
      headers: either('allowed_headers', 'allowedHeaders').texts(),
      exposeHeaders: either('exposed_headers', 'exposedHeaders').texts(),
      credentials: cors.at(credentials).flag(false),
      maxAgeSeconds: either('max_age', 'maxAge').number(),
    },
    cors.at(origins),
  );
  cors.skip('debug');
}

/** Of an API or of a path: `add` is an object of names and values, `remove` a list of names. */
export function keepHeaders(
  policies: Policies,
  policy: 'requestHeaders' | 'responseHeaders',
  at: Part,
  add: string,
  remove: string,
): void {
  const edits: HeaderEdits = {};
  for (const [name, value] of at.at(add).fields()) {
    const text = value.text();
    if (text !== undefined) putHeader(edits, 'set', name, text, value);
  }
  const removed = at.at(remove).texts();
  if (removed.length > 0) edits.remove = removed;
  if (Object.keys(edits).length > 0) keep(policies, policy, edits, at.at(add).present ? at.at(add) : at.at(remove));
}
