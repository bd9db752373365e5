import type { Policies } from '#model';
import { type HeaderEdits, keep, keepAddresses, keepBodyLimit, keepCors, putHeader } from '../model/policies.js';
import type { Part } from '../source/part.js';
import type { Effects } from './effects.js';
import { limitsFound } from './rate-limits.js';
import type { PluginEntry } from './entities.js';

type Convert = (config: Part, effects: Effects, plugin: PluginEntry) => void;

const CONVERSIONS: Record<string, Convert> = {
  'key-auth': (config, effects) => {
    config.skip('realm', 'run_on_preflight', 'identity_realms');
    const names = config.at('key_names').texts();
    if (names.length > 1)
      config
        .at('key_names')
        .changed('a key is looked for in one field, and in Authorization: Bearer', 'tell callers the first name');
    if (config.at('key_in_body').flag(false))
      config.at('key_in_body').lost('keys are not looked for in bodies', 'have callers send it in the header');
    const [name = 'apikey'] = names;
    effects.key = {
      header: config.at('key_in_header').flag(true) ? name : undefined,
      query: config.at('key_in_query').flag(true) && /^[A-Za-z0-9_.-]{1,64}$/.test(name) ? name : undefined,
      forward: !config.at('hide_credentials').flag(false),
      at: config,
    };
    anonymous(config, effects);
  },
  jwt: (config, effects, { at }) => {
    effects.jwt = at;
    anonymous(config, effects);
    at.changed(
      'tokens are trusted by their issuer, whose public keys the master fetches; Kong keeps a key for each consumer',
      'register the issuer (POST /v1/environments/:env/issuers) and bind its clients to applications, or issue OAuth clients',
    );
    config.skipAll();
  },
  acl: (config, effects) => {
    config.skip('hide_groups_header');
    const list = (...names: string[]): string[] => names.flatMap((name) => config.at(name).texts());
    effects.acl = { allow: list('allow', 'whitelist'), deny: list('deny', 'blacklist'), at: config };
  },
  'rate-limiting': (_config, effects, plugin) => limitsFound(effects, plugin),
  'rate-limiting-advanced': (_config, effects, plugin) => limitsFound(effects, plugin),
  cors: (config, { policies }) => {
    config.skip('allow_origin_absent');
    const origins = config.at('origins');
    const maxAge = config.at('max_age').number();
    keepCors(
      policies,
      {
        origins: origins.texts(),
        methods: config.at('methods').texts(),
        headers: config.at('headers').texts(),
        exposeHeaders: config.at('exposed_headers').texts(),
        credentials: config.at('credentials').flag(false),
        maxAgeSeconds: maxAge,
      },
      origins,
    );
  },
  'ip-restriction': (config, { policies }) => {
    config.skip('status', 'message');
    const list = (...names: string[]): string[] => names.flatMap((name) => config.at(name).texts());
    keepAddresses(policies, { allow: list('allow', 'whitelist'), deny: list('deny', 'blacklist') }, config);
  },
  'request-size-limiting': (config, { policies }) => {
    config.skip('require_content_length');
    const unit = { bytes: 1, kilobytes: 2 ** 10, megabytes: 2 ** 20 }[config.at('size_unit').text() ?? ''] ?? 2 ** 20;
    keepBodyLimit(policies, (config.at('allowed_payload_size').number() ?? 128) * unit, config);
  },
  'request-termination': (config, effects, { at }) => {
    if (config.at('trigger').present || config.at('echo').flag(false)) {
      effects.guards.push(at);
      return;
    }
    const message = config.at('message').text();
    const body = config.at('body').text();
    const type = config.at('content_type').text() ?? 'application/json; charset=utf-8';
    const text = body ?? JSON.stringify({ message: message ?? 'Service unavailable' });
    const mock = { status: config.at('status_code').number() ?? 503, headers: { 'Content-Type': type }, body: text };
    keep(effects.policies, 'mock', mock, config);
    // it refused everybody, and what is left out would let everybody in
    if (!effects.policies.mock) effects.guards.push(at);
  },
  'request-transformer': (config, { policies }) => transform(config, policies, 'requestHeaders'),
  'response-transformer': (config, { policies }) => transform(config, policies, 'responseHeaders'),
  'proxy-cache': (config, { policies }) => {
    config.changed(
      'what is kept, and for whom, is by the rules of HTTP for shared caches',
      'see "Kept answers" in definition.md; the upstream has to say `public` where it gets to see who calls',
    );
    keep(policies, 'cache', { ttlSeconds: Math.max(0, Math.floor(config.at('cache_ttl').number() ?? 300)) }, config);
    config.skipAll();
  },
  'correlation-id': (config) => {
    config.skip('generator', 'echo_downstream');
    const header = config.at('header_name');
    if (header.text()?.toLowerCase() === 'x-request-id') return;
    header.changed(
      'the id of a request is in X-Request-Id, upstream and in the answer',
      'have those look there who use it',
    );
    header.skipAll();
  },
};

/** What looks on and lets everything pass: leaving it out lets nobody in. */
const ONLOOKERS = new Map<string, string>([
  ...['prometheus', 'statsd', 'statsd-advanced', 'datadog'].map(
    (name) => [name, 'metrics are on the admin port of each replica, without a plugin'] as const,
  ),
  ...['zipkin', 'opentelemetry'].map((name) => [name, 'traces are a setting of the replica'] as const),
  ...['file-log', 'http-log', 'tcp-log', 'udp-log', 'syslog', 'loggly', 'kafka-log', 'solace-log'].map(
    (name) => [name, 'the access log is a setting of the replica'] as const,
  ),
]);

/** What has to do with requests and answers, and not with who may send them. */
const HARMLESS = new Set([
  'response-ratelimiting',
  'request-transformer-advanced',
  'response-transformer-advanced',
  'exit-transformer',
  'jq',
  'proxy-cache-advanced',
  'graphql-proxy-cache-advanced',
  'grpc-web',
  'grpc-gateway',
  'correlation-id',
  'canary',
  'route-by-header',
  'upstream-timeout',
  'forward-proxy',
  'redirect',
  'aws-lambda',
  'azure-functions',
  'jwt-signer',
]);

/** Adds what a plugin does to what the others do. */
export function applyPlugin(plugin: PluginEntry, effects: Effects): void {
  const { name, at, config } = plugin;
  const convert = Object.hasOwn(CONVERSIONS, name) ? CONVERSIONS[name] : undefined;
  const instead = ONLOOKERS.get(name);
  if (convert) convert(config, effects, plugin);
  else if (instead !== undefined) at.lost(instead, 'see metrics.md');
  else if (HARMLESS.has(name)) at.lost('there is no policy that does this', 'have the upstream do it');
  else effects.guards.push(at);
}

function anonymous(config: Part, effects: Effects): void {
  const at = config.at('anonymous');
  if (at.present && at.text() !== '') effects.anonymous = at;
}

function transform(config: Part, policies: Policies, policy: 'requestHeaders' | 'responseHeaders'): void {
  const edits: HeaderEdits = {};
  const pairs = (part: Part): [string, string][] =>
    part.texts().flatMap((text) => {
      const colon = text.indexOf(':');
      return colon > 0 ? [[text.slice(0, colon).trim(), text.slice(colon + 1).trim()]] : [];
    });
  const remove = config.at('remove').at('headers').texts();
  if (remove.length > 0) edits.remove = remove;
  for (const [how, as] of [
    ['append', 'add'],
    ['add', 'set'],
    ['replace', 'set'],
  ] as const) {
    const headers = config.at(how).at('headers');
    const found = pairs(headers);
    for (const [name, value] of found) putHeader(edits, as, name, value, headers);
    if (how !== 'append' && found.length > 0)
      headers.changed(
        how === 'add'
          ? 'it is set also where the field is there already'
          : 'it is set also where the field is not there',
        'nothing, if that is all the same to who reads it',
      );
  }
  if (Object.keys(edits).length > 0) keep(policies, policy, edits, config);
}
