import type { Policies } from '#model';
import { type HeaderEdits, keep, keepAddresses, keepBodyLimit, putHeader } from '../model/policies.js';
import type { Part } from '../source/part.js';
import { keepTykCors } from './classic-policies.js';
import { keepMock } from './extended-paths.js';
import { authOfOas } from './oas-auth.js';
import { weighed } from './targets.js';
import { endpointAt, newRules, shut, type TykApi, type TykEndpoint, type TykRules, tykPath } from './tyk-api.js';

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];

/** @param document an OpenAPI document @param extension what Tyk says in it */
export function apiOfOas(document: Part, extension: Part): TykApi[] {
  const info = extension.at('info');
  const server = extension.at('server');
  info.skip('dbId', 'orgId');
  const state = info.at('state');
  if (!state.at('active').flag(false) || state.at('internal').flag(false)) {
    extension.lost('it is not active, or only for other APIs of Tyk', 'activate it, if callers are to reach it');
    document.skipAll();
    return [];
  }
  const upstream = extension.at('upstream');
  const global = extension.at('middleware').at('global');
  const policies: Policies = {};
  const ttlSeconds = readGlobal(global, policies);
  readAddresses(server.at('ipAccessControl'), policies);
  const rules = newRules();
  readOperations(document, extension.at('middleware').at('operations'), rules, ttlSeconds);
  readServer(server);
  const versioning = info.at('versioning');
  if (versioning.at('enabled').flag(false))
    versioning.changed('versions are told apart by their path', 'give each a path of its own');
  else versioning.skipAll();
  const api: TykApi = {
    id: info.at('id').text(),
    name: info.at('name').text() ?? document.at('info').at('title').text() ?? 'api',
    version: undefined,
    listenPath: server.at('listenPath').at('value'),
    below: [],
    strip: server.at('listenPath').at('strip').flag(false),
    targets: targetsOf(upstream),
    auth: authOfOas(document, server, global),
    policies,
    rules,
    at: extension,
  };
  document.skip('openapi', 'info', 'servers', 'components', 'security', 'tags', 'externalDocs', 'paths', 'webhooks');
  return [api];
}

function targetsOf(upstream: Part): TykApi['targets'] {
  upstream.skip('uptimeTests', 'test', 'preserveTrailingSlash');
  const limit = upstream.at('rateLimit');
  if (limit.at('enabled').flag(false)) limit.lost('limits are of plans', 'set `perApi` in the plans of this API');
  else limit.skipAll();
  const host = upstream.at('preserveHostHeader');
  if (host.at('enabled').flag(false))
    host.lost(
      'upstreams get the host of their target; the caller asked for the one in X-Forwarded-Host',
      'have the upstream look there',
    );
  const balancing = upstream.at('loadBalancing');
  const several = balancing.at('enabled').flag(false)
    ? balancing
        .at('targets')
        .items()
        .flatMap((one) =>
          Array<string>(Math.min(100, Math.max(1, one.at('weight').number() ?? 1))).fill(one.at('url').text() ?? ''),
        )
    : [];
  if (several.length === 0) balancing.skipAll();
  else balancing.skip('skipUnavailableHosts');
  const targets = weighed(several.length > 0 ? several : [upstream.at('url').text() ?? '']);
  upstream.at('url').text();
  if (targets.length === 0) upstream.at('url').lost('it is no http or https URL', 'name targets by hand');
  return targets;
}

function readServer(server: Part): void {
  server.skip(
    'detailedActivityLogs',
    'detailedTracing',
    'gatewayTags',
    'eventHandlers',
    'protocol',
    'port',
    'batchProcessing',
  );
  const domain = server.at('customDomain');
  if (domain.at('enabled').flag(false))
    domain.changed('the path is served under every host', 'nothing, if all that reach a gateway may');
  domain.skip('name', 'certificates');
}

function readAddresses(at: Part, policies: Policies): void {
  const lists = { allow: at.at('allow').texts(), deny: at.at('block').texts() };
  if (at.at('enabled').flag(false) && lists.allow.length + lists.deny.length > 0) keepAddresses(policies, lists, at);
  else at.skipAll();
}

/** @returns for how long answers are kept */
function readGlobal(global: Part, policies: Policies): number {
  global.skip('trafficLogs', 'contextVariables', 'skipRateLimit', 'skipQuota', 'skipQuotaReset', 'ignoreCase');
  const cors = global.at('cors');
  if (cors.at('enabled').flag(false)) keepTykCors(policies, cors);
  else cors.skipAll();
  const cache = global.at('cache');
  const ttlSeconds = Math.max(0, Math.floor(cache.at('timeout').number() ?? 60));
  cache.skip('cacheResponseCodes', 'cacheByHeaders', 'enableUpstreamCacheControl', 'controlTTLHeaderName');
  if (cache.at('enabled').flag(false) && cache.at('cacheAllSafeRequests').flag(false))
    keep(policies, 'cache', { ttlSeconds }, cache);
  const size = global.at('requestSizeLimit');
  if (size.at('enabled').flag(false)) keepBodyLimit(policies, size.at('value').number(), size);
  else size.skipAll();
  readHeaders(policies, 'requestHeaders', global.at('transformRequestHeaders'));
  readHeaders(policies, 'responseHeaders', global.at('transformResponseHeaders'));
  return ttlSeconds;
}

function readHeaders(policies: Policies, policy: 'requestHeaders' | 'responseHeaders', at: Part): void {
  if (!at.at('enabled').flag(true)) return at.skipAll();
  const edits: HeaderEdits = {};
  for (const header of at.at('add').items()) {
    const [name, value] = [header.at('name').text(), header.at('value').text()];
    if (name !== undefined && value !== undefined) putHeader(edits, 'set', name, value, header);
  }
  const removed = at.at('remove').texts();
  if (removed.length > 0) edits.remove = removed;
  if (Object.keys(edits).length > 0) keep(policies, policy, edits, at);
}

function readOperations(document: Part, operations: Part, rules: TykRules, ttlSeconds: number): void {
  const places = new Map<string, { path: Part; text: string; method: string }>();
  for (const [text, item] of document.at('paths').fields())
    for (const method of METHODS) {
      const id = (item.value as Record<string, unknown> | null)?.[method]
        ? item.at(method).at('operationId').text()
        : undefined;
      if (id !== undefined) places.set(id, { path: item, text, method });
    }
  for (const [id, at] of operations.fields()) {
    const place = places.get(id);
    if (!place) {
      at.lost('no operation of the document is called so', 'mend the file and convert it again');
      continue;
    }
    const allowed = isOn(at.at('allow'));
    const ignored = isOn(at.at('ignoreAuthentication'));
    const [block, internal] = [isOn(at.at('block')), isOn(at.at('internal'))];
    rules.allowing ||= allowed;
    const path = tykPath(at, block || internal ? 'blocks' : allowed || ignored ? 'opens' : 'edits', place.text);
    if (!path) {
      if (block || internal) shut(rules, at);
      continue;
    }
    const endpoint = endpointAt(rules, path, place.method.toUpperCase(), at);
    Object.assign(endpoint, { id: id.slice(0, 256), allowed, ignored, blocked: block || internal });
    readOperation(endpoint, at, ttlSeconds);
  }
}

function isOn(at: Part): boolean {
  const on = at.at('enabled').flag(false);
  at.skipAll();
  return on;
}

function readOperation({ policies }: TykEndpoint, at: Part, ttlSeconds: number): void {
  at.skip('trackEndpoint', 'doNotTrackEndpoint', 'ignoreCase');
  readHeaders(policies, 'requestHeaders', at.at('transformRequestHeaders'));
  readHeaders(policies, 'responseHeaders', at.at('transformResponseHeaders'));
  const size = at.at('requestSizeLimit');
  if (size.at('enabled').flag(false)) keepBodyLimit(policies, size.at('value').number(), size);
  else size.skipAll();
  const cache = at.at('cache');
  const own = cache.at('timeout').number() ?? 0;
  if (cache.at('enabled').flag(false))
    keep(policies, 'cache', { ttlSeconds: own > 0 ? Math.floor(own) : ttlSeconds }, cache);
  cache.skipAll();
  const mock = at.at('mockResponse');
  if (!mock.at('enabled').flag(false)) return mock.skipAll();
  if (mock.at('fromOASExamples').at('enabled').flag(false))
    return mock.lost('a mock is one answer', 'write it into the policy `mock`');
  const headers = mock
    .at('headers')
    .items()
    .flatMap((one): [string, string][] => {
      const [name, value] = [one.at('name').text(), one.at('value').text()];
      return name === undefined || value === undefined ? [] : [[name, value]];
    });
  keepMock(policies, mock, mock.at('code').number(), mock.at('body').text(), Object.fromEntries(headers));
  mock.skip('fromOASExamples');
}
