import { hash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { fail } from '#model';
import { DEFAULT_BODY_LIMIT } from './endpoint.js';
import type { MasterRequest } from './request.js';

interface RouteBody {
  bodyLimit?: number;
  consumes?: readonly string[];
  streamed?: boolean;
}

/**
 * One parser for every content type: it keeps to the route's own size and types, and takes the hash of the exact bytes.
 * JSON is parsed, other types that a route consumes arrive as a Buffer, streams are left to their handler.
 */
export function installBodyParser(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('*', async (request: MasterRequest, payload: NodeJS.ReadableStream) => {
    const route = request.routeOptions.config as RouteBody;
    const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
    const consumes = route.consumes ?? ['application/json'];
    const limit = route.bodyLimit ?? DEFAULT_BODY_LIMIT;
    if (!route.streamed) refuseTooLarge(Number(request.headers['content-length'] ?? 0), limit);
    if (request.headers['content-length'] === '0') return undefined;
    if (!consumes.includes(type)) {
      throw fail('unsupported_media_type', `Content-Type ${type === '' ? 'is missing' : `"${type.slice(0, 100)}" is not read here`}; send ${consumes.join(' or ')}`);
    }
    if (route.streamed) return payload;
    const bytes = await readBounded(payload, limit);
    request.bodyHash = hash('sha256', bytes, 'buffer');
    return type === 'application/json' ? parseJson(bytes) : bytes;
  });
}

async function readBounded(payload: NodeJS.ReadableStream, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of payload as AsyncIterable<Buffer>) {
    size += chunk.length;
    refuseTooLarge(size, limit);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

function refuseTooLarge(size: number, limit: number): void {
  // the rest of the body is not read: the connection cannot be used again
  if (size > limit) throw fail('body_too_large', `the body is larger than ${limit} bytes, which is the most this operation reads`, { headers: { connection: 'close' } });
}

function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  const text = bytes.toString('utf8');
  try {
    return JSON.parse(text, withoutProto);
  } catch (error) {
    throw fail('malformed_json', `the body is not JSON: ${(error as Error).message.slice(0, 200)}`);
  }
}

/** `__proto__` in JSON would set a prototype in careless code further on; it is never a field of ours. */
function withoutProto(this: unknown, key: string, value: unknown): unknown {
  return key === '__proto__' ? undefined : value;
}
