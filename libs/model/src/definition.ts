import { isIP } from 'node:net';
import { z } from 'zod';
import { apiName, apiVersion, planId, regionId } from './ids.js';
import { parseTemplate, templateShape } from './path-template.js';

export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'] as const;
/** What a route without a method of its own says. */
export const ANY_METHOD = '*';

export const MAX_ROUTES = 5000;
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'host',
]);

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

const headerName = z
  .string()
  .max(256)
  .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 'must be a header name')
  .refine(
    (name) => !HOP_BY_HOP.has(name.toLowerCase()),
    'must not be a header that frames the message or belongs to one connection',
  );
const headerValue = z
  .string()
  .max(8192)
  .regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'must be printable text without line breaks');

const requestHeaderName = headerName.refine(
  (name) => name.toLowerCase() !== 'expect',
  'must not be Expect: the gateway answers it itself, and upstreams are never asked to',
);
const responseHeaderName = headerName.refine(
  (name) => name.toLowerCase() !== 'x-request-id',
  'must not be X-Request-Id: the gateway puts the id of the request there',
);

/** `set` replaces, `add` appends, `remove` drops; applied in the order remove, set, add. */
const headerEdits = (name: typeof headerName) =>
  z.strictObject({
    set: z.record(name, headerValue).optional(),
    add: z.record(name, headerValue).optional(),
    remove: z.array(name).max(64).optional(),
  });

const cidr = z.string().refine((text) => {
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}, 'must be an IP address or a CIDR block, like 10.0.0.0/8');

const origin = z
  .string()
  .refine(
    (text) => text === '*' || (URL.canParse(text) && new URL(text).origin === text),
    'must be * or an origin like https://app.example.com',
  );

const cors = z
  .strictObject({
    origins: z.array(origin).min(1).max(64),
    methods: z.array(z.enum(METHODS)).max(8).optional(),
    headers: z.array(headerName).max(64).optional(),
    exposeHeaders: z.array(headerName).max(64).optional(),
    credentials: z.boolean().optional(),
    maxAgeSeconds: z.int().min(0).max(86_400).optional(),
  })
  .refine((value) => !(value.credentials && value.origins.includes('*')), {
    path: ['origins'],
    message: 'must name origins when credentials are allowed; * is refused by browsers',
  });

/** Replaces the beginning of what goes upstream; both are paths below the context. */
const rewrite = z.strictObject({
  prefix: z.string().regex(/^\//, 'must begin with /').max(1024),
  with: z
    .string()
    .regex(/^\/?([A-Za-z0-9\-._~!$&'()+,;=:@/]|%[0-9A-Fa-f]{2})*$/, 'must be a path')
    .max(1024),
});

const mock = z.strictObject({
  status: z.int().min(200).max(599),
  headers: z.record(responseHeaderName, headerValue).optional(),
  body: z.string().max(65_536).optional(),
});

export const policies = z.strictObject({
  requestHeaders: headerEdits(requestHeaderName).optional(),
  responseHeaders: headerEdits(responseHeaderName).optional(),
  rewrite: rewrite.optional(),
  cors: cors.optional(),
  /** bytes; a larger body is answered 413 */
  maxBodyBytes: z.int().min(0).max(10_737_418_240).optional(),
  ip: z
    .strictObject({ allow: z.array(cidr).max(1000).optional(), deny: z.array(cidr).max(1000).optional() })
    .optional(),
  mock: mock.optional(),
});
export type Policies = z.infer<typeof policies>;

export const SECURITY = ['key', 'open'] as const;
const security = z.enum(SECURITY, 'must be key or open');

const route = z.strictObject({
  method: z.enum([...METHODS, ANY_METHOD], 'must be an HTTP method in upper case, or *'),
  path: pathTemplate,
  /** a name for people and metrics, from OpenAPI's operationId */
  id: z.string().max(256).optional(),
  security: security.optional(),
  policies: policies.optional(),
});
export type Route = z.infer<typeof route>;

const targetUrl = z
  .string()
  .max(2048)
  .refine((text) => {
    if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return false;
    const url = new URL(text);
    return url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  }, 'must be an http(s) URL without credentials, query or fragment');

const targets = z
  .array(z.strictObject({ url: targetUrl, weight: z.int().min(1).max(1000).optional() }))
  .min(1, 'must have at least one target')
  .max(64);
export type Target = z.infer<typeof targets>[number];

const milliseconds = z.int().min(1).max(600_000);

const upstream = z.strictObject({
  targets,
  /** targets of one region instead of `targets` */
  regions: z.record(regionId, z.strictObject({ targets })).optional(),
  /** default 2000 */
  connectTimeoutMs: milliseconds.optional(),
  /** to the response's head; default 30000 */
  responseTimeoutMs: milliseconds.optional(),
  /** for requests that were not sent, and for idempotent ones that got no answer; default 1 */
  retries: z.int().min(0).max(5).optional(),
});
export type Upstream = z.infer<typeof upstream>;

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
    credential: credential.optional(),
    /** plans that it may be subscribed on */
    plans: z.array(planId).max(64),
    policies: policies.optional(),
    maxStaleness: maxStaleness.optional(),
  })
  .superRefine((value, ctx) => {
    const seen = new Map<string, number>();
    for (const [index, { method, path }] of value.routes.entries()) {
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
    if (new Set(value.plans).size !== value.plans.length)
      ctx.addIssue({ code: 'custom', path: ['plans'], message: 'names a plan twice' });
  });
export type Definition = z.infer<typeof definition>;
