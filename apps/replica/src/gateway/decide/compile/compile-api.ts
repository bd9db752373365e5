import { hash } from 'node:crypto';
import {
  ANY_METHOD,
  type ApiId,
  apiIdOf,
  type Definition,
  parseTemplate,
  type Policies,
  type Route,
  templateShape,
} from '#model';
import { type Cors, compileCors } from '../cors.js';
import { type CredentialPlaces, compileCredential } from '../credential.js';
import { applyEdits, compileEdits, type HeaderEdits } from '../header-edits.js';
import { IpList } from '../ip-list.js';
import { OpenConsumers } from '../open-consumers.js';
import { compileRewrite, type Rewrite } from '../rewrite.js';
import { RouteTree } from '../route-tree.js';
import { type CompiledUpstream, compileUpstream } from './compile-upstream.js';

/** 96 bits. */
const ROUTE_ID_CHARS = 16;

/** A whole answer that is known beforehand. */
export interface Mock {
  status: number;
  headers: readonly string[];
  body: string;
}

/** What holds on a route: shared by all routes that say nothing of their own. */
export interface CompiledPolicies {
  requestEdits: HeaderEdits | null;
  responseEdits: HeaderEdits | null;
  rewrite: Rewrite | null;
  cors: Cors | null;
  maxBodyBytes: number | null;
  ipAllow: IpList | null;
  ipDeny: IpList | null;
  mock: Mock | null;
}

export interface CompiledRoute {
  /** `GET /forecast/{city}` */
  name: string;
  /** the same for any release that has the route, whatever its parameters are called */
  id: string;
  secured: boolean;
  /** what it takes for a credential */
  keys: boolean;
  tokens: boolean;
  /** of the credential: all of them */
  scopes: readonly string[];
  /** null: answers are not kept. HEAD is answered by what is kept for GET, not on a route of its own */
  cache: { ttlMs: number } | null;
  policies: CompiledPolicies;
}

export interface CompiledApi {
  id: ApiId;
  name: string;
  version: string;
  context: string;
  /** of the release, in hexadecimal */
  digest: string;
  routes: RouteTree<CompiledRoute>;
  policies: CompiledPolicies;
  /** who is limited on open routes, and by what; null: nobody */
  open: OpenConsumers | null;
  /** null where no route takes a credential: then nothing in a request is one */
  credential: CredentialPlaces | null;
  upstream: CompiledUpstream;
  /** a segment of a path may have an encoded slash in it */
  encodedSlashes: boolean;
  /** some route keeps answers */
  caches: boolean;
  /** an older state must not answer; null: any may */
  refuseOlderThanMs: number | null;
}

/**
 * Prepares a release for one region. The definition was checked when its revision was applied; here only what it needs
 * is read.
 *
 * @throws Error for what cannot be compiled
 */
export function compileApi(definition: Definition, digest: string, region: string): CompiledApi {
  const policies = compilePolicies(definition.policies ?? {});
  const routes = new RouteTree<CompiledRoute>();
  let anySecured = false;
  let caches = false;
  for (const route of definition.routes) {
    const compiled = compileRoute(route, definition, policies);
    anySecured ||= compiled.secured;
    caches ||= compiled.cache !== null;
    const template = parseTemplate(route.path);
    if (!template.ok) throw new Error(`the route ${route.method} ${route.path} ${template.problem}`);
    routes.add(route.method, template.parts, compiled);
  }
  const { maxStaleness } = definition;
  const id = apiIdOf(definition);
  return {
    id,
    name: definition.name,
    version: definition.version,
    context: definition.context,
    digest,
    routes,
    policies,
    open: definition.openPlan === undefined ? null : new OpenConsumers(id, definition.openPlan),
    credential: anySecured ? compileCredential(definition.credential) : null,
    upstream: compileUpstream(id, definition.upstream, region),
    encodedSlashes: definition.encodedSlashes === 'pass',
    caches,
    refuseOlderThanMs: maxStaleness?.past === 'refuse' ? maxStaleness.seconds * 1000 : null,
  };
}

function compileRoute(route: Route, definition: Definition, inherited: CompiledPolicies): CompiledRoute {
  const cache = route.policies?.cache ?? definition.policies?.cache;
  const cacheable = route.method === 'GET' || route.method === ANY_METHOD;
  const security = route.security ?? definition.security;
  return {
    name: `${route.method} ${route.path}`,
    id: hash('sha256', `${route.method} ${templateShape(route.path)}`, 'base64url').slice(0, ROUTE_ID_CHARS),
    secured: security !== 'open',
    keys: security === 'key' || security === 'key-or-jwt',
    tokens: security === 'jwt' || security === 'key-or-jwt',
    scopes: route.scopes ?? definition.scopes ?? [],
    cache: cache && cacheable ? { ttlMs: cache.ttlSeconds * 1000 } : null,
    // a policy that a route names takes the place of the API's policy of that name, as a whole
    policies: route.policies ? compilePolicies({ ...definition.policies, ...route.policies }) : inherited,
  };
}

function compilePolicies(policies: Policies): CompiledPolicies {
  const responseEdits = compileEdits(policies.responseHeaders);
  return {
    requestEdits: compileEdits(policies.requestHeaders),
    responseEdits,
    rewrite: compileRewrite(policies.rewrite),
    cors: compileCors(policies.cors),
    maxBodyBytes: policies.maxBodyBytes ?? null,
    ipAllow: policies.ip?.allow ? new IpList(policies.ip.allow) : null,
    ipDeny: policies.ip?.deny ? new IpList(policies.ip.deny) : null,
    mock: compileMock(policies.mock, responseEdits),
  };
}

function compileMock(mock: Policies['mock'], edits: HeaderEdits | null): Mock | null {
  if (!mock) return null;
  const headers = Object.entries(mock.headers ?? {}).flat();
  const bodiless = mock.status === 204 || mock.status === 205 || mock.status === 304;
  return {
    status: mock.status,
    headers: edits ? applyEdits(headers, edits) : headers,
    body: bodiless ? '' : (mock.body ?? ''),
  };
}
