import { METHODS, type PlanLimits, scopeList } from '#model';
import type { ApiDraft, RouteDraft, Security } from '../model/api-draft.js';
import { NOBODY, reportGuards } from '../model/guards.js';
import { isUnlimited, limitsOf, type Plans } from '../model/limits.js';
import type { ApiNames } from '../model/names.js';
import { templateOf, versionIn } from '../model/paths.js';
import type { Part } from '../source/part.js';
import { type Acl, type Effects, type FoundLimits, pluginsOf } from './effects.js';
import type { Entities } from './entities.js';
import { applyPlugin } from './plugins.js';
import type { ApiGroup, RoutedPath } from './routing.js';
import { upstreamOf } from './upstream.js';

/** An API, and what consumers have to know to be subscribed to it. */
export interface KongApi {
  draft: ApiDraft;
  service: string;
  /** of whoever has no limits of his own */
  plan: string;
  /** credentials by which it can be used at all */
  takes: { key: boolean; jwt: boolean };
  /** that holds for the API as a whole */
  acl: Acl | undefined;
  /** groups that single routes ask for */
  scopes: string[];
}

export function apiOfGroup(group: ApiGroup, entities: Entities, plans: Plans, names: ApiNames): KongApi | null {
  const { service, context } = group;
  const routes = new Map(group.paths.map(({ route }) => [route.key, effectsOf(route.key, service.key, entities)]));
  const unstripped = group.paths.every(({ strip }) => !strip);
  const base = pathOfService(service.at);
  const upstream = upstreamOf(service.at, entities.upstreams, unstripped ? `${base}/${context.join('/')}` : base);
  if (!upstream) return null;
  const effects = [...routes.values()];
  const shared = sharedAcl(effects);
  const scopes = new Set<string>();
  const drafts = group.paths.flatMap((path) => {
    const found = routes.get(path.route.key) as Effects;
    const needed = shared ? [] : scopesOf(found.acl);
    for (const scope of needed) scopes.add(scope);
    return routesOf(path, context, unstripped, found, needed);
  });
  const limits = limitsOfApi([...routes.values()]);
  const open = drafts.some(({ security }) => security === 'open');
  const plan = plans.of(limits);
  const version = versionIn(context) ?? 'v1';
  return {
    draft: {
      name: names.take(service.key, version),
      version,
      context: `/${context.join('/')}`,
      upstream,
      routes: drafts,
      credential: credentialOf(effects),
      plans: drafts.every(({ security }) => security === 'open') ? [] : [plan],
      openPlan: open && !(isUnlimited(limits) && !limits.perApi && !limits.perRoute) ? plan : undefined,
      at: service.at,
    },
    service: service.key,
    plan,
    takes: {
      key: effects.some(
        ({ key, jwt, anonymous }) => key !== undefined && (jwt === undefined || anonymous !== undefined),
      ),
      jwt: effects.some(({ jwt }) => jwt !== undefined),
    },
    acl: shared,
    scopes: [...scopes].filter((scope) => scope !== NOBODY),
  };
}

function effectsOf(route: string, service: string, { plugins }: Entities): Effects {
  const effects: Effects = { guards: [], policies: {} };
  for (const plugin of pluginsOf(plugins, service, route)) applyPlugin(plugin, effects);
  return effects;
}

function pathOfService(at: Part): string {
  const url = at.at('url').text();
  const path = url !== undefined && URL.canParse(url) ? new URL(url).pathname : (at.at('path').text() ?? '');
  return path.replace(/\/+$/, '');
}

function routesOf(
  { route, path, strip, at }: RoutedPath,
  context: readonly string[],
  unstripped: boolean,
  effects: Effects,
  scopes: string[],
): RouteDraft[] {
  const below = path.segments.slice(context.length);
  const template = templateOf(below, path.prefix);
  if (template === null) {
    at.lost('it makes no path template', 'write the route by hand');
    return [];
  }
  // stripped is what the route says, not only the context; or, beside routes that strip, the context comes back
  const rewrite = strip
    ? below.length > 0 && { prefix: `/${below.join('/')}`, with: '/' }
    : !unstripped && { prefix: '/', with: `/${context.join('/')}` };
  const { security, closed } = guardOf(effects);
  const asked = route.at
    .at('methods')
    .texts()
    .map((method) => method.toUpperCase());
  const methods = METHODS.filter((method) => asked.includes(method));
  if (methods.length < new Set(asked).size)
    route.at.at('methods').lost(`methods are ${METHODS.join(', ')}`, 'see whether the others are wanted');
  const id = route.at.at('name').text()?.slice(0, 256);
  return (asked.length === 0 ? (['*'] as const) : methods).map((method) => ({
    method,
    path: template,
    id,
    security,
    scopes: closed ? [NOBODY] : security === 'open' ? [] : scopes,
    policies: { ...effects.policies, ...(rewrite ? { rewrite } : {}) },
    at,
  }));
}

/** What was guarded by something that is not here is closed to everybody, also to those who may use other routes. */
function guardOf({ key, jwt, anonymous, acl, guards: found }: Effects): { security: Security; closed: boolean } {
  const asked = key !== undefined || jwt !== undefined;
  // groups are of callers that are known
  const guards = !asked && acl && found.length === 0 ? [acl.at] : found;
  reportGuards(guards, asked);
  if (key && jwt && anonymous) {
    anonymous.changed('who shows neither a key nor a token is refused', 'make routes open that are for everybody');
    return { security: 'key-or-jwt', closed: false };
  }
  if (key && jwt)
    jwt.changed('a key and a token were both asked for; here it is the token alone', 'choose the security of the API');
  else
    anonymous?.closed(
      'who shows no credential is refused: a route is open or is not',
      'make routes open that are for everybody',
    );
  if (jwt) return { security: 'jwt', closed: false };
  return { security: key || guards.length > 0 ? 'key' : 'open', closed: !key && guards.length > 0 };
}

function credentialOf(effects: readonly Effects[]): ApiDraft['credential'] {
  const keys = effects.flatMap(({ key }) => key ?? []);
  const [first] = keys;
  if (!first) return undefined;
  const said = ({ header, query, forward }: typeof first): string => JSON.stringify([header, query, forward]);
  for (const other of keys)
    if (said(other) !== said(first))
      other.at.changed(
        'an API looks for keys in one place for all of its routes',
        'see `credential` in its definition',
      );
  return {
    ...(first.header === undefined ? {} : { header: first.header }),
    ...(first.query === undefined ? {} : { query: first.query }),
    ...(first.forward ? { forward: true } : {}),
  };
}

/** What all routes ask of groups is a matter of who is subscribed. */
function sharedAcl(effects: readonly Effects[]): Acl | undefined {
  const [first, ...others] = effects;
  return first?.acl && others.every(({ acl }) => acl?.at === first.acl?.at) ? first.acl : undefined;
}

/** What a route alone asks of groups is a scope that keys of its members have. A route asks for all of its scopes, though. */
function scopesOf(acl: Acl | undefined): string[] {
  if (!acl) return [];
  const { allow, deny, at } = acl;
  const [group, ...more] = allow;
  if (deny.length > 0 || group === undefined || !scopeList.safeParse([group]).success) {
    at.closed(
      'a route asks for scopes, and for none that somebody must not have: it lets nobody in',
      'choose scopes by hand',
    );
    return [NOBODY];
  }
  if (more.length > 0)
    at.closed('a route asks for all of its scopes: it lets the first group in alone', 'choose scopes by hand');
  return [group];
}

/** Limits of a subscription to the API. */
function limitsOfApi(effects: readonly Effects[]): PlanLimits {
  const none: PlanLimits = { rate: null, quota: null };
  const found = effects.flatMap(({ limits }) => limits ?? []);
  const [first] = found;
  if (!first) return none;
  const everywhere = found.length === effects.length;
  if (everywhere && found.every(({ plugin }) => plugin === first.plugin)) return planOf(first);
  const alike = found.every(({ windows, by }) => by === first.by && wordsOf(windows) === wordsOf(first.windows));
  if (everywhere && alike && first.by !== 'service') {
    first.plugin.at.changed('each path and method of a route is counted by itself', 'see `perRoute` of its plan');
    return { ...none, perRoute: limitsOf(first.windows) };
  }
  for (const { plugin } of found)
    if (plugin.route !== undefined)
      plugin.at.lost(
        'limits hold for an API, or for each of its routes alike',
        'make an API of the route, or set them in the plan',
      );
  const general = found.find(({ plugin }) => plugin.route === undefined);
  return general ? planOf(general) : none;
}

function wordsOf(windows: FoundLimits['windows']): string {
  return JSON.stringify(windows.map(({ limit, seconds }) => [limit, seconds]));
}

export function planOf({ windows, by, plugin }: FoundLimits): PlanLimits {
  const pair = limitsOf(windows);
  if (plugin.service === undefined && by !== 'address')
    plugin.at.changed('each API is counted by itself', 'lower the limits if it was the sum that mattered');
  return by === 'service' ? { rate: null, quota: null, perApi: pair } : pair;
}
