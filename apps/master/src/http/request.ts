import type { FastifyRequest } from 'fastify';
import type { Role } from '../database/entities.js';

/** Who calls, as far as services need to know. */
export interface Caller {
  /** the name of the access token, or of the replica: for the audit log */
  actor: string;
  role: Role | 'replica' | 'public' | 'system';
  requestId: string;
  /** set when the request brought an Idempotency-Key */
  idempotency: IdempotencyKey | null;
  /** the ETag that If-Match names, without quotes; `*` for any */
  ifMatch: string | null;
  /** an environment that a write has to change something in, or it is refused; null: none */
  reaches?: string | null;
  /** how long it waits for the revisions that carry its write, in milliseconds since 1970; absent: as long as is usual */
  until?: number;
}

export interface IdempotencyKey {
  /** names the pair of caller and key; reveals neither */
  id: Buffer;
  /** what the request said: method, path and body */
  requestHash: Buffer;
  /** what the kept answer is encrypted with; only the caller's token and key make it again. 32 bytes */
  answerKey: Buffer;
}

/** A Fastify request as our hooks leave it. */
export type MasterRequest = FastifyRequest & {
  identity?: Pick<Caller, 'actor' | 'role'>;
  caller?: Caller;
  /** SHA-256 of the exact body; absent without a body or an Idempotency-Key */
  bodyHash?: Buffer;
};

/** What a handler answers; the interceptor turns it into the HTTP response. */
export interface Answer<T = unknown> {
  status: number;
  body?: T;
  /** the item's version, for ETag */
  etag?: string;
  headers?: Record<string, string>;
  /** of a write: the revision of each chain that carries it; null: not known yet */
  carriedBy?: readonly { environment: string; revision: number | null }[];
}

export function ok<T>(body: T, etag?: string): Answer<T> {
  return { status: 200, body, etag };
}

/** @param location the path of what was made */
export function created<T>(body: T, location: string, etag?: string): Answer<T> {
  return { status: 201, body, etag, headers: { location } };
}

export const noContent = (): Answer<undefined> => ({ status: 204 });
