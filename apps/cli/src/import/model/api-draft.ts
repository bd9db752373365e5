import { type Definition, definition, type Policies, templateShape } from '#model';
import type { Part } from '../source/part.js';

type PolicyName = keyof Policies;
export type Security = Definition['security'];

export interface RouteDraft {
  method: Definition['routes'][number]['method'];
  /** below the context */
  path: string;
  id?: string | undefined;
  security: Security;
  scopes?: string[] | undefined;
  policies: Policies;
  /** what it was made of */
  at: Part;
}

export interface ApiDraft {
  name: string;
  version: string;
  context: string;
  upstream: Definition['upstream'];
  routes: RouteDraft[];
  credential: Definition['credential'];
  plans: string[];
  openPlan: string | undefined;
  /** what it was made of */
  at: Part;
}

/** A document for `helio apply`; the definition has what the API itself does not say. */
export interface ApiDocument {
  kind: 'api';
  name: string;
  version: string;
  context: string;
  /** regions of environments in which it is to serve at once */
  serve: Record<string, '*'>;
  definition: Omit<Definition, 'name' | 'version' | 'context'>;
}

/** @param environment in which it is to serve @returns null, and a note, where what came out is no definition */
export function documentOf(draft: ApiDraft, environment: string): ApiDocument | null {
  const { name, version, context } = draft;
  const routes = onceEach(draft.routes);
  const [first] = routes;
  if (!first) return null;
  const security = routes.every((route) => route.security === first.security) ? first.security : 'key';
  const shared = sharedPolicies(routes);
  const anyOpen = routes.some((route) => route.security === 'open');
  const parsed = definition.safeParse({
    name,
    version,
    context,
    routes: routes.map((route) => routeOf(route, security, shared)),
    upstream: draft.upstream,
    security,
    ...(anyOpen && first.security === 'open' && security === 'open' ? {} : given('credential', draft.credential)),
    plans: draft.plans,
    ...(anyOpen ? given('openPlan', draft.openPlan) : {}),
    ...given('policies', shared),
  });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    draft.at.lost(
      `what it says makes no definition: ${issue?.path.map(String).join('.')} ${issue?.message}`,
      'mend it in the file, or write this API by hand',
    );
    return null;
  }
  const { name: _name, version: _version, context: _context, ...rest } = parsed.data;
  return { kind: 'api', name, version, context, serve: { [environment]: '*' }, definition: rest };
}

/** Two routes may differ in what no route has here: a host, for instance. */
function onceEach(routes: readonly RouteDraft[]): RouteDraft[] {
  const first = new Map<string, RouteDraft>();
  for (const route of routes) {
    const shape = `${route.method} ${templateShape(route.path)}`;
    if (!first.has(shape)) first.set(shape, route);
    else route.at.lost(`another route takes ${shape} already`, 'give one of them a path of its own');
  }
  return [...first.values()];
}

function routeOf(route: RouteDraft, security: Security, shared: Policies | undefined): Record<string, unknown> {
  const own = Object.entries(route.policies).filter(([name, policy]) => !isSame(policy, shared?.[name as PolicyName]));
  return {
    method: route.method,
    path: route.path,
    ...given('id', route.id),
    ...(route.security === security ? {} : { security: route.security }),
    ...(route.scopes?.length ? { scopes: route.scopes } : {}),
    ...(own.length > 0 ? { policies: Object.fromEntries(own) } : {}),
  };
}

/** What all routes have is said once, as most of them have it; the others say their own. */
function sharedPolicies(routes: readonly RouteDraft[]): Policies | undefined {
  const shared = Object.keys(routes[0]?.policies ?? {}).flatMap((key) => {
    const name = key as PolicyName;
    const counts = new Map<string, number>();
    for (const { policies } of routes) {
      if (policies[name] === undefined) return [];
      const text = JSON.stringify(policies[name]);
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
    const [[text] = ['']] = [...counts].sort((a, b) => b[1] - a[1]);
    return routes.length > 1 && counts.get(text) === 1 ? [] : [[name, JSON.parse(text) as unknown] as const];
  });
  return shared.length > 0 ? Object.fromEntries(shared) : undefined;
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function given<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Partial<Record<K, V>>);
}
