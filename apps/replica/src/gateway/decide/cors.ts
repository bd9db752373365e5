import type { Policies } from '#model';
import type { RequestHead } from './request-head.js';

export interface Cors {
  /** null: any */
  origins: ReadonlySet<string> | null;
  credentials: boolean;
  /** null: those that the path has */
  methods: string | null;
  /** null: those that are asked for */
  headers: string | null;
  expose: string | null;
  maxAge: string | null;
}

export function compileCors(policy: Policies['cors']): Cors | null {
  if (!policy) return null;
  return {
    origins: policy.origins.includes('*') ? null : new Set(policy.origins),
    credentials: policy.credentials ?? false,
    methods: policy.methods?.join(', ') ?? null,
    headers: policy.headers?.join(', ') ?? null,
    expose: policy.exposeHeaders?.join(', ') ?? null,
    maxAge: policy.maxAgeSeconds?.toString() ?? null,
  };
}

/** What tells a preflight from other requests. */
export const PREFLIGHT_FIELD = 'access-control-request-method';

/** The method that a preflight asks for; null for any other request. */
export function preflightMethod(head: RequestHead): string | null {
  if (head.method !== 'OPTIONS' || head.values('origin').length !== 1) return null;
  return head.values(PREFLIGHT_FIELD)[0] ?? null;
}

/** What an answer to this origin carries: nothing for a request of no browser, and no leave for a foreign origin. */
export function corsHeaders(cors: Cors, head: RequestHead): string[] {
  const origin = head.values('origin')[0];
  const headers = allowOrigin(cors, origin);
  if (headers.length > 0 && cors.expose !== null) headers.push('Access-Control-Expose-Headers', cors.expose);
  // caches must not give the answer for one origin to another
  if (cors.origins !== null) headers.push('Vary', 'Origin');
  return headers;
}

/** @param methods what the path serves */
export function preflightHeaders(cors: Cors, head: RequestHead, methods: string): string[] {
  const headers = allowOrigin(cors, head.values('origin')[0]);
  if (headers.length > 0) {
    headers.push('Access-Control-Allow-Methods', cors.methods ?? methods);
    const asked = head.values('access-control-request-headers').join(', ');
    const allowed = cors.headers ?? asked;
    if (allowed !== '') headers.push('Access-Control-Allow-Headers', allowed);
    if (cors.maxAge !== null) headers.push('Access-Control-Max-Age', cors.maxAge);
  }
  headers.push('Vary', 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers');
  return headers;
}

function allowOrigin(cors: Cors, origin: string | undefined): string[] {
  if (origin === undefined || (cors.origins !== null && !cors.origins.has(origin))) return [];
  const headers = ['Access-Control-Allow-Origin', cors.origins === null ? '*' : origin];
  if (cors.credentials) headers.push('Access-Control-Allow-Credentials', 'true');
  return headers;
}
