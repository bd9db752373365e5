import type { GROUPS } from '../command.js';
import type { Column } from '../output/output.js';
import { age, col, digest, type Item, limit, state, wide } from './columns.js';

/** A kind of thing that the master keeps. Its verbs come from the OpenAPI document: see verbs.ts. */
export interface Resource {
  name: string;
  aliases?: readonly string[];
  summary: string;
  group: keyof typeof GROUPS;
  /** where its operations are; all below it that no other resource's path is nearer to */
  path: string;
  /** operations elsewhere, by verb */
  also?: Readonly<Record<string, string>>;
  /** fields of the body that `create` takes as arguments */
  given?: readonly string[];
  /** values of verbs that others must not read on a command line */
  secrets?: Readonly<Record<string, string>>;
  /** its list, which the master gives from the oldest on, is shown from the newest on */
  newestFirst?: true;
  /** what `-o name` prints; default: id */
  key?: string;
  columns: readonly Column<Item>[];
}

const created = [age('AGE', 'createdAt'), wide('BY', 'createdBy')];

export const RESOURCES: readonly Resource[] = [
  {
    name: 'api',
    summary: 'APIs: a name, a version, and the path they are served under',
    group: 'catalogue',
    path: '/v1/apis',
    given: ['name', 'version', 'context'],
    columns: [col('ID', 'id'), col('CONTEXT', 'context'), ...created],
  },
  {
    name: 'release',
    summary: 'Releases of an API: definitions that never change',
    group: 'catalogue',
    path: '/v1/apis/{api}/releases',
    key: 'digest',
    columns: [
      digest('DIGEST', 'digest'),
      wide('WHOLE', 'digest'),
      col('ROUTES', 'routes'),
      col('PLANS', 'plans'),
      ...created,
    ],
  },
  {
    name: 'placement',
    summary: 'Which release serves where; changed by promotions, or past them with a reason',
    group: 'catalogue',
    path: '/v1/placements',
    key: 'release',
    columns: [
      col('ENVIRONMENT', 'environment'),
      col('API', 'api'),
      col('REGION', 'region'),
      digest('RELEASE', 'release'),
      wide('WHOLE', 'release'),
      age('AGE', 'updatedAt'),
      wide('BY', 'updatedBy'),
    ],
  },
  {
    name: 'promotion',
    summary: 'Promotions: how releases travel. approve, reject, pause, resume, abort, rollback, skip',
    group: 'catalogue',
    path: '/v1/promotions',
    columns: [
      col('ID', 'id'),
      col('KIND', 'kind'),
      col('TO', 'to'),
      { title: 'APIS', of: ({ releases }) => (releases as { api: string }[]).map(({ api }) => api) },
      state('STATE', 'state'),
      { title: 'WAVE', of: ({ wave, waves }) => `${String(wave)}/${(waves as unknown[]).length}` },
      age('SINCE', 'since'),
      wide('BY', 'requestedBy'),
      { title: 'WAITS FOR', of: ({ waitsFor }) => waitsFor },
    ],
  },
  {
    name: 'policy',
    summary: 'Promotion policy of an environment: how many approvals it asks for',
    group: 'catalogue',
    path: '/v1/environments/{environment}/promotion-policy',
    key: 'environment',
    columns: [],
  },
  {
    name: 'plan',
    summary: 'Plans: rates, bursts and quotas',
    group: 'consumers',
    path: '/v1/plans',
    given: ['id'],
    columns: [
      col('ID', 'id'),
      limit('RATE', 'rate'),
      limit('QUOTA', 'quota'),
      wide('PER ROUTE', 'perRoute'),
      wide('PER API', 'perApi'),
      age('AGE', 'createdAt'),
    ],
  },
  {
    name: 'app',
    aliases: ['application'],
    summary: 'Applications: what consumers register',
    group: 'consumers',
    path: '/v1/applications',
    given: ['name'],
    columns: [
      col('ID', 'id'),
      col('NAME', 'name'),
      col('OWNER', 'owner'),
      state('STATUS', 'status'),
      age('AGE', 'createdAt'),
    ],
  },
  {
    name: 'sub',
    aliases: ['subscription'],
    summary: 'Subscriptions: an application, an API, a plan',
    group: 'consumers',
    path: '/v1/subscriptions',
    given: ['application', 'api', 'plan'],
    columns: [
      col('ID', 'id'),
      col('APPLICATION', 'application'),
      col('API', 'api'),
      col('PLAN', 'plan'),
      age('AGE', 'createdAt'),
    ],
  },
  {
    name: 'key',
    summary: 'API keys of an application. rotate, revoke, leaked',
    group: 'consumers',
    path: '/v1/applications/{application}/keys',
    also: { leaked: 'POST /v1/leaked-keys' },
    secrets: { leaked: 'key' },
    columns: [
      col('ID', 'id'),
      col('NAME', 'name'),
      col('ENVIRONMENT', 'environment'),
      col('HINT', 'hint'),
      state('STATUS', 'status'),
      wide('SCOPES', 'scopes'),
      wide('EXPIRES', 'expiresAt'),
      age('LAST USED', 'lastUsedAt'),
      ...created,
    ],
  },
  {
    name: 'client',
    summary: 'OAuth clients of an application. rotate, revoke, revoke-tokens, revoke-token',
    group: 'consumers',
    path: '/v1/applications/{application}/clients',
    also: { 'revoke-token': 'POST /v1/environments/{environment}/revoked-tokens' },
    secrets: { 'revoke-token': 'token' },
    columns: [
      col('ID', 'id'),
      col('NAME', 'name'),
      col('ENVIRONMENT', 'environment'),
      state('STATUS', 'status'),
      col('SCOPES', 'scopes'),
      wide('EXPIRES', 'expiresAt'),
      age('LAST USED', 'lastUsedAt'),
      ...created,
    ],
  },
  {
    name: 'outside-client',
    summary: 'Clients of outside issuers that stand for an application',
    group: 'consumers',
    path: '/v1/applications/{application}/outside-clients',
    columns: [
      col('ID', 'id'),
      col('ENVIRONMENT', 'environment'),
      col('ISSUER', 'issuer'),
      col('CLIENT', 'clientId'),
      state('STATUS', 'status'),
      ...created,
    ],
  },
  {
    name: 'env',
    aliases: ['environment'],
    summary: 'Environments: the stages of the pipeline, each with a chain',
    group: 'topology',
    path: '/v1/environments',
    given: ['id'],
    columns: [col('ID', 'id'), col('POSITION', 'position'), age('AGE', 'createdAt')],
  },
  {
    name: 'region',
    summary: 'Regions: data centres',
    group: 'topology',
    path: '/v1/regions',
    given: ['id', 'environment'],
    columns: [col('ID', 'id'), col('ENVIRONMENT', 'environment'), age('AGE', 'createdAt')],
  },
  {
    name: 'replica',
    summary: 'Replicas: what runs, and where it stands',
    group: 'topology',
    path: '/v1/replicas',
    columns: [
      col('ID', 'id'),
      col('REGION', 'region'),
      wide('ENVIRONMENT', 'environment'),
      state('STATE', 'state'),
      col('REVISION', 'revision'),
      col('BEHIND', 'behind'),
      col('SOURCE', 'source'),
      wide('FRESHNESS', 'freshness'),
      col('NACKS', 'nacks'),
      wide('BUILD', 'build'),
      age('REPORTED', 'reportedAt'),
    ],
  },
  {
    name: 'join-token',
    summary: 'Tokens with which replicas join',
    group: 'topology',
    path: '/v1/join-tokens',
    given: ['region'],
    columns: [
      col('ID', 'id'),
      col('REGION', 'region'),
      { title: 'USES', of: ({ uses, maxUses }) => `${String(uses)}/${String(maxUses)}` },
      col('EXPIRES', 'expiresAt'),
      ...created,
    ],
  },
  {
    name: 'issuer',
    summary: 'Outside issuers of tokens that an environment trusts',
    group: 'topology',
    path: '/v1/environments/{environment}/issuers',
    columns: [
      col('ID', 'id'),
      col('ISSUER', 'issuer'),
      col('AUDIENCES', 'audiences'),
      { title: 'KEYS', of: ({ keys }) => (Array.isArray(keys) ? keys.length : keys) },
      age('FETCHED', 'fetchedAt'),
      col('FAILURES', 'failures'),
    ],
  },
];
