import { keep, keepBodyLimit } from '../model/policies.js';
import type { Part } from '../source/part.js';
import { keepHeaders } from './classic-policies.js';
import { endpointAt, type PathUse, shut, type TykEndpoint, type TykRules, tykPath } from './tyk-api.js';

/** What a list of `extended_paths` says of a path and method. */
type Read = (endpoint: TykEndpoint, at: Part, ttlSeconds: number) => void;

const LISTS: Record<string, Read> = {
  ignored: (endpoint) => {
    endpoint.ignored = true;
  },
  white_list: (endpoint) => {
    endpoint.allowed = true;
  },
  black_list: (endpoint) => {
    endpoint.blocked = true;
  },
  internal: (endpoint) => {
    endpoint.blocked = true;
  },
  transform_headers: ({ policies }, at) => keepHeaders(policies, 'requestHeaders', at, 'add_headers', 'delete_headers'),
  transform_response_headers: ({ policies }, at) =>
    keepHeaders(policies, 'responseHeaders', at, 'add_headers', 'delete_headers'),
  size_limits: ({ policies }, at) => keepBodyLimit(policies, at.at('size_limit').number(), at),
  advance_cache_config: ({ policies }, at, ttlSeconds) => {
    at.skip('cache_key_regex', 'cache_response_codes');
    const own = at.at('timeout').number() ?? 0;
    keep(policies, 'cache', { ttlSeconds: own > 0 ? Math.floor(own) : ttlSeconds }, at);
  },
  mock_response: ({ policies }, at) => {
    keepMock(policies, at, at.at('code').number(), at.at('body').text(), headersOf(at));
  },
};

/** They let requests through as they are, or as the upstream can do as well. */
const WITHOUT = ['track_endpoints', 'do_not_track_endpoints'];

/** Reads what one version says of paths. */
export function readExtendedPaths(version: Part, rules: TykRules, ttlSeconds: number): void {
  const extended = version.at('use_extended_paths').flag(false);
  const paths = version.at(extended ? 'extended_paths' : 'paths');
  version.skip(extended ? 'paths' : 'extended_paths');
  paths.skip(...WITHOUT);
  for (const path of paths.at('cache').items()) {
    const found = tykPath(path, 'edits');
    if (found) keep(endpointAt(rules, found, 'GET', path).policies, 'cache', { ttlSeconds }, path);
  }
  for (const [list, read] of Object.entries(LISTS))
    for (const at of paths.at(list).items()) {
      const plain = typeof at.value === 'string';
      if (!plain && at.at('disabled').flag(false)) {
        at.skipAll();
        continue;
      }
      if (list === 'white_list') rules.allowing = true;
      const path = tykPath(plain ? at : at.at('path'), useOf(list));
      if (path)
        for (const endpoint of plain ? [endpointAt(rules, path, '*', at)] : endpointsOf(rules, path, at))
          read(endpoint, at, ttlSeconds);
      else if (useOf(list) === 'blocks') shut(rules, at);
      if (!plain) at.skip('act_on', 'data', 'method', 'ignore_case');
    }
}

function useOf(list: string): PathUse {
  if (list === 'black_list' || list === 'internal') return 'blocks';
  return list === 'ignored' || list === 'white_list' ? 'opens' : 'edits';
}

function endpointsOf(rules: TykRules, path: Parameters<typeof endpointAt>[1], at: Part): TykEndpoint[] {
  const actions = at.at('method_actions').fields();
  const method = at.at('method').text() || '*';
  if (actions.length === 0) return [endpointAt(rules, path, method.toUpperCase(), at)];
  return actions.map(([name, action]) => {
    const endpoint = endpointAt(rules, path, name.toUpperCase(), at);
    if (action.at('action').text() === 'reply') {
      keepMock(endpoint.policies, action, action.at('code').number(), action.at('data').text(), headersOf(action));
    } else action.skipAll();
    return endpoint;
  });
}

function headersOf(at: Part): Record<string, string> {
  const pairs = at
    .at('headers')
    .fields()
    .flatMap(([name, value]) => {
      const text = value.text();
      return text === undefined ? [] : [[name, text] as const];
    });
  return Object.fromEntries(pairs);
}

export function keepMock(
  policies: TykEndpoint['policies'],
  at: Part,
  status: number | undefined,
  body: string | undefined,
  headers: Record<string, string>,
): void {
  keep(
    policies,
    'mock',
    {
      status: status ?? 200,
      ...(Object.keys(headers).length > 0 ? { headers } : {}),
      ...(body === undefined || body === '' ? {} : { body }),
    },
    at,
  );
}
