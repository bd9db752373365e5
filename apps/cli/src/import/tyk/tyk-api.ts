import { type Definition, METHODS, type Policies } from '#model';
import type { ApiDraft, RouteDraft, Security } from '../model/api-draft.js';
import { NOBODY, reportGuards } from '../model/guards.js';
import type { ApiNames } from '../model/names.js';
import { contextSegments, type ForeignPath, prefixPath, templateOf, versionIn } from '../model/paths.js';
import type { HeaderEdits } from '../model/policies.js';
import type { Part } from '../source/part.js';

/** What is said of one path and method, gathered from wherever it is said. */
export interface TykEndpoint {
  method: string;
  path: ForeignPath;
  at: Part;
  id?: string | undefined;
  policies: Policies;
  /** callers need no credential */
  ignored: boolean;
  /** nobody gets there */
  blocked: boolean;
  /** named as one of those that there are */
  allowed: boolean;
}

/** What is to be done where tokens were taken. */
export const ISSUER = 'register the issuer (POST /v1/environments/:env/issuers) and bind its clients to applications';

/** How callers are known. */
export interface TykAuth {
  key?: ApiDraft['credential'];
  jwt: boolean;
  /** what kept callers out, or may have, and has no counterpart */
  guards: Part[];
}

/** An API of either format. */
export interface TykApi {
  id: string | undefined;
  name: string;
  version: string | undefined;
  listenPath: Part;
  /** below the listen path, where versions are told apart by the path */
  below: string[];
  strip: boolean;
  targets: Definition['upstream']['targets'];
  auth: TykAuth;
  policies: Policies;
  rules: TykRules;
  at: Part;
}

/** What is said of single paths. */
export interface TykRules {
  endpoints: Map<string, TykEndpoint>;
  /** only what is allowed is there, also when no path of that list can be said here */
  allowing: boolean;
  /** a path that nobody may get to cannot be said here: so that it is not open, nothing is */
  shut: boolean;
}

export function newRules(): TykRules {
  return { endpoints: new Map(), allowing: false, shut: false };
}

const FORBIDDEN = { status: 403 };

/** @param plansOf ids of the plans by which an API may be used */
export function draftOf(api: TykApi, names: ApiNames, plansOf: (id: string | undefined) => string[]): ApiDraft | null {
  const { at, rules } = api;
  const context = contextOf(api);
  if (!context || api.targets.length === 0) return null;
  const path = `/${context.join('/')}`;
  const { security, closed } = guardOf(api.auth);
  const routes = [...rules.endpoints.values()]
    .filter(({ allowed, ignored, blocked }) => !rules.allowing || allowed || ignored || blocked)
    .flatMap((endpoint) => routeOf(endpoint, api.policies, security, closed));
  if (!rules.allowing)
    routes.push({ method: '*', path: '/*', security, scopes: closed ? [NOBODY] : [], policies: api.policies, at });
  if (rules.shut) for (const route of routes) route.policies = { ...route.policies, mock: FORBIDDEN };
  const version = api.version ?? versionIn(context) ?? 'v1';
  return {
    name: names.take(api.name, version),
    version,
    context: path,
    upstream: {
      targets: api.strip
        ? api.targets
        : api.targets.map((one) => ({ ...one, url: one.url.replace(/\/+$/, '') + path })),
    },
    routes,
    credential: api.auth.key,
    plans: security === 'open' ? [] : plansOf(api.id),
    openPlan: undefined,
    at,
  };
}

function contextOf({ listenPath, below }: TykApi): string[] | null {
  const path = prefixPath(listenPath.text() ?? '');
  const segments = [...(path?.segments ?? []), ...below];
  if (
    path &&
    path.segments.length > 0 &&
    contextSegments({ segments, prefix: true, wider: false }).length === segments.length
  )
    return segments;
  listenPath.lost(
    'a context is one or more segments of letters, digits, dots, dashes, underscores and tildes',
    'give the API a listen path of its own, and tell its callers',
  );
  return null;
}

function guardOf({ key, jwt, guards }: TykAuth): { security: Security; closed: boolean } {
  const asked = key !== undefined || jwt;
  reportGuards(guards, asked);
  if (jwt) return { security: 'jwt', closed: false };
  return { security: key || guards.length > 0 ? 'key' : 'open', closed: !key && guards.length > 0 };
}

function routeOf(endpoint: TykEndpoint, shared: Policies, security: Security, closed: boolean): RouteDraft[] {
  const { at, ignored, blocked, path } = endpoint;
  // what is blocked is blocked with all below it: less would let in what was kept out
  const template = templateOf(path.segments, path.prefix || blocked);
  const method = ['*', ...METHODS].find((name) => name === endpoint.method.toUpperCase()) as RouteDraft['method'];
  if (template === null || method === undefined) {
    at.lost('it makes no route', 'write the route by hand');
    return [];
  }
  const open = ignored && !blocked;
  const policies = merged(shared, endpoint.policies);
  if (blocked) policies.mock = FORBIDDEN;
  return [
    {
      method,
      path: template,
      id: endpoint.id,
      security: open ? 'open' : security,
      scopes: closed && !open ? [NOBODY] : [],
      policies,
      at,
    },
  ];
}

/** Tyk edits headers for the API, then for the path; here a route's policy takes the place of the API's. */
function merged(shared: Policies, own: Policies): Policies {
  const both = { ...shared, ...own };
  for (const name of ['requestHeaders', 'responseHeaders'] as const) {
    const [general, special] = [shared[name], own[name]];
    if (!general || !special) continue;
    const remove = [...new Set([...(general.remove ?? []), ...(special.remove ?? [])])];
    const edits: HeaderEdits = { set: { ...general.set, ...special.set }, ...(remove.length > 0 ? { remove } : {}) };
    both[name] = edits;
  }
  return both;
}

/** The endpoint of a path and method, made when it is first asked for. */
export function endpointAt({ endpoints }: TykRules, path: ForeignPath, method: string, at: Part): TykEndpoint {
  const key = JSON.stringify([method, path.segments, path.prefix]);
  const known = endpoints.get(key);
  if (known) return known;
  const made: TykEndpoint = { method, path, at, policies: {}, ignored: false, blocked: false, allowed: false };
  endpoints.set(key, made);
  return made;
}

/** What a list does with the requests that its paths match. */
export type PathUse = 'opens' | 'blocks' | 'edits';

/** For a path which nobody may get to, and that no template says. */
export function shut(rules: TykRules, at: Part): void {
  rules.shut = true;
  at.closed(
    'nobody may get there, and it cannot be said where that is: the whole API answers 403',
    'write the blocked routes by hand, and take the mocks away',
  );
}

/**
 * Paths of Tyk are patterns; `{id}`, `{id:[0-9]+}` and `/*` at the end are templates here, other patterns are not.
 * They match wherever they are found in a path; a template is the whole path.
 */
export function tykPath(at: Part, use: PathUse, said = at.text()): ForeignPath | null {
  const text = said?.replace(/^\^/, '').replace(/\$$/, '');
  if (text === undefined) return null;
  let wider = false;
  let prefix = false;
  const segments = text.split('/').filter((segment) => segment !== '');
  if (segments.length > 0 && /^(\*|\.\*|\(\.\*\))$/.test(segments.at(-1) ?? '')) prefix = segments.pop() !== undefined;
  const converted = segments.map((segment) => {
    const parameter = /^\{([^{}/:]+)(:[^/]*)?\}$/.exec(segment);
    if (!parameter) return segment;
    wider ||= parameter[2] !== undefined;
    return `{${parameter[1]}}`;
  });
  if (templateOf(converted, prefix) === null) {
    at.lost(
      'a pattern says more than a path template can',
      'write the route by hand: fixed segments, {parameters}, and * at the end',
    );
    return null;
  }
  if (wider)
    at.changed('a {parameter} takes any text in its segment', 'have the upstream refuse what it does not know');
  if (use === 'opens' && !prefix)
    at.changed(
      'the path alone is meant here, and what has it inside in Tyk',
      'end the path with /* where that is wanted',
    );
  if (use === 'blocks')
    at.changed(
      'what begins with the path is blocked here, and what has it inside in Tyk',
      'block the other paths that have it inside',
    );
  return { segments: converted, prefix, wider };
}
