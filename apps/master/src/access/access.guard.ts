import { hash, hkdfSync } from 'node:crypto';
import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { fail, secretHash } from '#model';
import { type Access, endpointOf } from '../http/endpoint.js';
import type { Caller, IdempotencyKey, MasterRequest } from '../http/request.js';
import { AccessTokens } from './access-tokens.js';

/** `If-Match: *` */
const ANY = '*';
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;

/**
 * Says who calls, and whether the endpoint is for them. Runs as soon as the head of a request is there: whoever may not
 * call gets no byte of a body read.
 */
@Injectable()
export class Authentication {
  constructor(private readonly tokens: AccessTokens) {}

  /** Leaves the identity on the request. @throws HelioError `unauthenticated`, `forbidden` */
  async authenticate(request: MasterRequest): Promise<void> {
    const endpoint = endpointOf(request);
    if (endpoint) request.identity = await this.identify(endpoint.access, bearerOf(request));
  }

  private async identify(access: Access, token: string | null): Promise<Pick<Caller, 'actor' | 'role'>> {
    if (access === 'public') return { actor: 'public', role: 'public' };
    if (token === null)
      throw unauthenticated('the Authorization header is missing, or is not of the form "Bearer <token>"');
    if (access === 'replica') {
      const replica = await this.tokens.replica(secretHash(token));
      if (!replica) throw unauthenticated('the token is not that of a replica which has joined');
      return { actor: replica, role: 'replica' };
    }
    const found = await this.tokens.person(secretHash(token));
    if (!found) throw unauthenticated('the access token is unknown, expired or withdrawn');
    if (found.role !== 'admin' && !access.includes(found.role)) {
      throw fail(
        'forbidden',
        `the token "${found.actor}" has the role ${found.role}; this needs ${['admin', ...access].join(' or ')}`,
      );
    }
    return found;
  }
}

/** Makes the Caller of what `Authentication` found and of the headers that need the body: no endpoint is reached without. */
@Injectable()
export class AccessGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<MasterRequest>();
    const spec = endpointOf(request);
    if (!spec) return true;
    if (!request.identity) throw new Error('the request was not authenticated');
    const token = bearerOf(request);
    request.caller = {
      ...request.identity,
      requestId: request.id,
      idempotency: spec.method === 'POST' && !spec.streamed ? idempotencyOf(request, token) : null,
      ifMatch: ifMatchOf(request),
    };
    return true;
  }
}

function unauthenticated(detail: string): Error {
  return fail('unauthenticated', detail, { headers: { 'www-authenticate': 'Bearer realm="heliograph"' } });
}

function bearerOf(request: MasterRequest): string | null {
  const match = /^Bearer +([\x21-\x7e]{1,512}) *$/i.exec(request.headers.authorization ?? '');
  return match?.[1] ?? null;
}

/** @param token null: the caller's secret is in the body, as a join token is */
function idempotencyOf(request: MasterRequest, token: string | null): IdempotencyKey | null {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key !== 'string' || !IDEMPOTENCY_KEY.test(key)) {
    throw fail('invalid_request', 'Idempotency-Key: must be 1 to 255 printable characters without spaces', {
      fields: [
        {
          field: 'Idempotency-Key',
          problem: 'is not 1 to 255 printable characters without spaces',
          expected: 'a UUID does well',
        },
      ],
    });
  }
  const material = `${token ?? request.bodyHash?.toString('hex') ?? ''}\n${key}`;
  return {
    id: hash('sha256', `id\n${material}`, 'buffer'),
    requestHash: hash(
      'sha256',
      Buffer.concat([Buffer.from(`${request.method} ${request.url}\n`), request.bodyHash ?? Buffer.alloc(0)]),
      'buffer',
    ),
    answerKey: Buffer.from(hkdfSync('sha256', material, 'heliograph', 'idempotent answer', 32)),
  };
}

function ifMatchOf(request: MasterRequest): string | null {
  const header = request.headers['if-match'];
  if (header === undefined) return null;
  const match = /^\s*(?:(W\/)?"([^"]*)"|(\*))\s*$/.exec(header);
  if (!match) {
    throw fail('invalid_request', 'If-Match: must be one ETag in double quotes, or *', {
      fields: [
        {
          field: 'If-Match',
          problem: `"${header.slice(0, 100)}" is not one ETag in double quotes, or *`,
          expected: 'the ETag of the item as you have read it',
        },
      ],
    });
  }
  if (match[3]) return ANY;
  // a weak tag never matches (RFC 9110), and neither does a tag that only looks like the wildcard
  return match[1] || match[2] === ANY ? header.trim() : (match[2] ?? '');
}
