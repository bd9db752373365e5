import { isIP } from 'node:net';
import { z } from 'zod';
import { METHODS } from './methods.js';

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

const fieldName = z
  .string()
  .max(256)
  .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 'must be a header name');
/** A field that the gateway may read, take away or set. */
export const headerName = fieldName.refine(
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

/** Names differ in more than their case: of two values for one field none could be said to replace the other. */
function eachOnce(record: Record<string, string>, ctx: z.RefinementCtx): void {
  const seen = new Map<string, string>();
  for (const name of Object.keys(record)) {
    const first = seen.get(name.toLowerCase());
    seen.set(name.toLowerCase(), name);
    if (first !== undefined)
      ctx.addIssue({ code: 'custom', path: [name], message: `is the same header as ${first}; name it once` });
  }
}

/** `set` replaces, `add` appends, `remove` drops; applied in the order remove, set, add. */
const headerEdits = (name: typeof headerName) =>
  z.strictObject({
    set: z.record(name, headerValue).superRefine(eachOnce).optional(),
    add: z.record(name, headerValue).optional(),
    remove: z.array(name).max(64).optional(),
  });

export const cidr = z.string().refine((text) => {
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  // an address with a zone (fe80::1%eth0) means something on one machine only
  if (family === 0 || rest.length > 0 || address.includes('%')) return false;
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
    headers: z.array(fieldName).max(64).optional(),
    exposeHeaders: z.array(fieldName).max(64).optional(),
    credentials: z.boolean().optional(),
    maxAgeSeconds: z.int().min(0).max(86_400).optional(),
  })
  .refine((value) => !(value.credentials && value.origins.includes('*')), {
    path: ['origins'],
    message: 'must name origins when credentials are allowed; * is refused by browsers',
  });

const PATH = /^\/?([A-Za-z0-9\-._~!$&'()+,;=:@/]|%[0-9A-Fa-f]{2})*$/;

/** A path that a request could have: what could not be in one would never be found, or not be served. */
const path = z
  .string()
  .regex(PATH, 'must be a path; percent-encode other characters')
  .refine((text) => !/\/\//.test(text), 'must not have an empty segment: two slashes in a row')
  .refine(
    (text) => !/(^|\/)(\.|%2e){1,2}(\/|$)/i.test(text),
    'must not have a . or .. segment; write the path that is meant',
  )
  .max(1024);

/** Replaces the beginning of what goes upstream; both are paths below the context. */
const rewrite = z.strictObject({ prefix: path.regex(/^\//, 'must begin with /'), with: path });

const BODILESS = new Set([204, 205, 304]);

const mock = z
  .strictObject({
    status: z.int().min(200).max(599),
    headers: z.record(responseHeaderName, headerValue).optional(),
    body: z.string().max(65_536).optional(),
  })
  .refine(({ status, body }) => !BODILESS.has(status) || !body, {
    path: ['body'],
    message: 'must be left out: answers with the status 204, 205 or 304 have none',
  });

/**
 * Answers to GET are kept and given to whoever may ask for them, by the rules of HTTP for shared caches (RFC 9111). What the
 * upstream says of an answer (Cache-Control, Expires) comes before `ttlSeconds`, which is for answers of which it says
 * nothing; 0: those are not kept.
 */
const cache = z.strictObject({ ttlSeconds: z.int().min(0).max(31_536_000) });

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
  cache: cache.optional(),
});
export type Policies = z.infer<typeof policies>;
