import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { regionId } from './ids.js';

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

/** What requests tell of a target: each that finds no connection, gets no answer in time or whole, or one of 5xx. */
const passive = z.strictObject({
  /** so many in a row, and the target is passed over while there are others; 0: never. Default 5 */
  failures: z.int().min(0).max(1000).optional(),
  /** ... for so long, twice as long each time it fails again at once. Default 10000 */
  ejectMs: z.int().min(100).max(300_000).optional(),
});

/** Requests that the gateway itself sends to each target, to find out. */
const active = z
  .strictObject({
    path: z
      .string()
      .max(2048)
      .regex(/^\/[\x21\x22\x24-\x7e]*$/, 'must be a path that begins with /, a query with it or not'),
    /** between two, plus or minus 10%; default 10000 */
    intervalMs: z.int().min(500).max(600_000).optional(),
    /** to the head of the answer; default 2000, or the interval if that is shorter */
    timeoutMs: milliseconds.optional(),
    /** so many good ones in a row let it back; default 2 */
    healthy: z.int().min(1).max(100).optional(),
    /** so many bad ones in a row take it out; default 3 */
    unhealthy: z.int().min(1).max(100).optional(),
    /** of a good answer; default any of 2xx and 3xx */
    statuses: z.array(z.int().min(200).max(599)).min(1).max(32).optional(),
  })
  .refine(({ intervalMs = 10_000, timeoutMs }) => timeoutMs === undefined || timeoutMs <= intervalMs, {
    path: ['timeoutMs'],
    message: 'must not be longer than intervalMs (10000 where it is left out)',
  });

/** What one gateway worker may have under way to one target, and when it stops asking. */
const circuitBreaker = z
  .strictObject({
    /** default 256 */
    maxConnections: z.int().min(1).max(10_000).optional(),
    /** requests that wait for a connection while there may be no more; default 1024 */
    maxWaiting: z.int().min(0).max(10_000).optional(),
    /** of the requests of the last 10 seconds; none by default: it never opens */
    failurePercent: z.int().min(1).max(100).optional(),
    /** fewer in these 10 seconds say nothing; default 20 */
    minimumRequests: z.int().min(1).max(10_000).optional(),
    /** until one request tries it, twice as long each time that fails; default 5000 */
    openMs: z.int().min(100).max(300_000).optional(),
  })
  .superRefine((value, ctx) => {
    if (value.failurePercent !== undefined) return;
    for (const name of ['minimumRequests', 'openMs'] as const)
      if (value[name] !== undefined)
        ctx.addIssue({ code: 'custom', path: [name], message: 'says nothing without failurePercent; give both' });
  });

const CERTIFICATES = /-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g;

const certificates = z
  .string()
  .max(65_536, 'has at most 65536 characters')
  .superRefine((text, ctx) => {
    const problem = problemOfCertificates(text);
    if (problem !== null) ctx.addIssue({ code: 'custom', message: problem });
  });

function problemOfCertificates(text: string): string | null {
  if (text.includes('PRIVATE KEY'))
    return 'must not have a private key: definitions are no secret, and go to every region; name a clientCertificate';
  const blocks = [...text.matchAll(CERTIFICATES)];
  if (blocks.length === 0 || text.replaceAll(CERTIFICATES, '').includes('-----'))
    return 'must be one certificate or more in PEM';
  for (const [index, [block, kind]] of blocks.entries()) {
    try {
      if (kind !== 'CERTIFICATE') throw new Error(`is of ${kind}`);
      new X509Certificate(block);
    } catch {
      return `must be one certificate or more in PEM; its block ${index + 1} is none`;
    }
  }
  return null;
}

/** Of targets with https. What they show is always checked. */
const tls = z.strictObject({
  /** the authorities that may vouch for targets, instead of the well-known ones */
  ca: certificates.optional(),
  /** names a pair of files on the machine of the replica, which alone knows the key */
  clientCertificate: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
      'must be the name of a pair of files without their .crt and .key: letters, digits, dots, dashes, underscores',
    )
    .optional(),
  /** that is asked for, and has to be in the target's certificate, instead of the URL's host */
  serverName: z
    .string()
    .max(253)
    .regex(/^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/, {
      message: 'must be a host name like weather.internal',
    })
    .optional(),
  /** default 1.2 */
  minVersion: z.enum(['1.2', '1.3'], 'must be 1.2 or 1.3').optional(),
});

export const upstream = z
  .strictObject({
    targets,
    /** targets of one region instead of `targets` */
    regions: z.record(regionId, z.strictObject({ targets })).optional(),
    /** default 2000 */
    connectTimeoutMs: milliseconds.optional(),
    /** to the response's head; default 30000 */
    responseTimeoutMs: milliseconds.optional(),
    /** for requests that were not sent, and for idempotent ones that got no answer; default 1 */
    retries: z.int().min(0).max(5).optional(),
    healthChecks: z.strictObject({ passive: passive.optional(), active: active.optional() }).optional(),
    circuitBreaker: circuitBreaker.optional(),
    tls: tls.optional(),
  })
  .superRefine((value, ctx) => {
    if (value.tls === undefined) return;
    const lists = [value.targets, ...Object.values(value.regions ?? {}).map((region) => region.targets)];
    if (!lists.flat().some(({ url }) => url.startsWith('https:')))
      ctx.addIssue({ code: 'custom', path: ['tls'], message: 'is for targets with https://, and there is none' });
  });
export type Upstream = z.infer<typeof upstream>;
