import { z } from 'zod';
import { apiName, apiVersion, planId } from './ids.js';
import { METHODS } from './methods.js';
import { parseTemplate, templateShape } from './path-template.js';
import { headerName, policies } from './policies.js';
import { scopeList } from './scope.js';
import { upstream } from './upstream.js';

/** What a route without a method of its own says. */
export const ANY_METHOD = '*';

export const MAX_ROUTES = 5000;
const pathTemplate = z
  .string()
  .max(2048, 'a path has at most 2048 characters')
  .superRefine((text, ctx) => {
    const parsed = parseTemplate(text);
    if (!parsed.ok) ctx.addIssue({ code: 'custom', message: `the path ${parsed.problem}` });
  });

/** Where an API is mounted: `/weather/v1`. At least one segment, plain text only. */
export const contextPath = z
  .string()
  .max(256, 'a context has at most 256 characters')
  .regex(
    /^(\/[A-Za-z0-9][A-Za-z0-9._~-]*)+$/,
    'a context is one or more segments of letters, digits, dots, dashes, underscores and tildes, like /weather/v1',
  );

/** What a route asks for: a key, an access token, either, or nothing. */
export const SECURITY = ['key', 'jwt', 'key-or-jwt', 'open'] as const;
const security = z.enum(SECURITY, 'must be key, jwt, key-or-jwt or open');

const route = z.strictObject({
  method: z.enum([...METHODS, ANY_METHOD], 'must be an HTTP method in upper case, or *'),
  path: pathTemplate,
  /** a name for people and metrics, from OpenAPI's operationId */
  id: z.string().max(256).optional(),
  security: security.optional(),
  /** take the place of those of the API; all of them are required of the credential */
  scopes: scopeList.optional(),
  policies: policies.optional(),
});
export type Route = z.infer<typeof route>;

const credential = z.strictObject({
  /** default X-API-Key */
  header: headerName.optional(),
  /** none by default: keys in URLs end up in logs */
  query: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be a query parameter name')
    .optional(),
  /** whether the upstream gets to see the credential; default false */
  forward: z.boolean().optional(),
});

const maxStaleness = z.strictObject({
  seconds: z.int().min(1).max(31_536_000),
  past: z.enum(['serve', 'refuse']).optional(),
});

const UNASKED = 'must be left out where security is open: nobody is asked for a credential that could have them';

/** One release of an API. Strict: an unknown field is refused, never ignored. */
export const definition = z
  .strictObject({
    name: apiName,
    version: apiVersion,
    context: contextPath,
    routes: z
      .array(route)
      .min(1, 'must have at least one route')
      .max(MAX_ROUTES, `must have at most ${MAX_ROUTES} routes`),
    upstream,
    security,
    /** required of every credential, on routes that say nothing themselves; none by default */
    scopes: scopeList.optional(),
    credential: credential.optional(),
    /** plans that it may be subscribed on */
    plans: z.array(planId).max(64),
    /** plan by which open routes are limited, for each address of a client; default: they are not */
    openPlan: planId.optional(),
    policies: policies.optional(),
    /**
     * what becomes of `%2F` in a path; default `refuse`. With `pass` it is a part of the segment that it stands in, and goes
     * upstream as it came: only for upstreams that do not take it for a slash, or they would find another route
     */
    encodedSlashes: z.enum(['refuse', 'pass'], 'must be refuse or pass').optional(),
    maxStaleness: maxStaleness.optional(),
  })
  .superRefine((value, ctx) => {
    const seen = new Map<string, number>();
    for (const [index, { method, path, scopes, security: own }] of value.routes.entries()) {
      if (scopes?.length && (own ?? value.security) === 'open')
        ctx.addIssue({ code: 'custom', path: ['routes', index, 'scopes'], message: UNASKED });
      const shape = `${method} ${templateShape(path)}`;
      const first = seen.get(shape);
      if (first === undefined) seen.set(shape, index);
      else
        ctx.addIssue({
          code: 'custom',
          path: ['routes', index, 'path'],
          message: `is the same route as routes[${first}]: ${method} ${path}`,
        });
    }
    if (value.scopes?.length && [value, ...value.routes].every((one) => (one.security ?? value.security) === 'open'))
      ctx.addIssue({ code: 'custom', path: ['scopes'], message: UNASKED });
    if (new Set(value.plans).size !== value.plans.length)
      ctx.addIssue({ code: 'custom', path: ['plans'], message: 'names a plan twice' });
    const anyOpen = value.routes.some((one) => (one.security ?? value.security) === 'open');
    if (value.openPlan !== undefined && !anyOpen)
      ctx.addIssue({ code: 'custom', path: ['openPlan'], message: 'limits open routes, and there is none' });
  });
export type Definition = z.infer<typeof definition>;
