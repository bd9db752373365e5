import { hash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { fail } from '#model';
import { DEFAULT_BODY_LIMIT } from './endpoint.js';
import type { MasterRequest } from './request.js';

/** Bytes beyond a limit that are still read; whoever sends more finds the connection closed. */
const MAX_DISCARDED = 256 * 1024 * 1024;

interface RouteBody {
  bodyLimit?: number;
  consumes?: readonly string[];
  streamed?: boolean;
}

/**
 * One parser for every content type: it keeps to the route's own size and types, and takes the hash of the exact bytes where
 * there is an Idempotency-Key.
 * JSON is parsed, other types that a route consumes arrive as a Buffer, streams are left to their handler.
 */
export function installBodyParser(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('*', async (request: MasterRequest, payload: NodeJS.ReadableStream) => {
    const route = request.routeOptions.config as RouteBody;
    const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
    const consumes = route.consumes ?? ['application/json'];
    const limit = route.bodyLimit ?? DEFAULT_BODY_LIMIT;
    if (request.headers['content-length'] === '0') return undefined;
    if (!consumes.includes(type)) {
      await read(payload, 0);
      throw fail(
        'unsupported_media_type',
        `Content-Type ${type === '' ? 'is missing' : `"${type.slice(0, 100)}" is not read here`}; send ${consumes.join(' or ')}`,
      );
    }
    if (route.streamed) return payload;
    const bytes = await read(payload, limit);
    if (bytes === null)
      throw fail('body_too_large', `the body is larger than ${limit} bytes, which is the most this operation reads`);
    if (request.headers['idempotency-key'] !== undefined) request.bodyHash = hash('sha256', bytes, 'buffer');
    return type === 'application/json' ? parseJson(bytes) : bytes;
  });
}

/**
 * Null for a body of more than `limit` bytes. It is read to its end all the same, and forgotten: Fastify closes the
 * connection after a refusal, and under a client that still sends, that would lose it the answer.
 */
function read(payload: NodeJS.ReadableStream, limit: number): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = [];
    let size = 0;
    payload.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) chunks.push(chunk);
      else chunks = [];
      if (size > limit + MAX_DISCARDED) resolve(null);
    });
    payload.on('end', () => resolve(size <= limit ? Buffer.concat(chunks, size) : null));
    payload.on('error', () => reject(fail('invalid_request', 'the connection broke before the body was complete')));
  });
}

function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  const text = bytes.toString('utf8');
  try {
    return JSON.parse(text, withoutProto);
  } catch (error) {
    const why = error instanceof RangeError ? 'it is nested too deeply' : (error as Error).message.slice(0, 200);
    throw fail('malformed_json', `the body is not JSON: ${why}`);
  }
}

/** `__proto__` in JSON would set a prototype in careless code further on; it is never a field of ours. */
function withoutProto(this: unknown, key: string, value: unknown): unknown {
  return key === '__proto__' ? undefined : value;
}
