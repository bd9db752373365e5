import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { MasterRequest } from './request.js';

/** Begins an answer of server-sent events. @returns where they are written, and which is to be ended */
export function beginEvents(request: MasterRequest, reply: FastifyReply): ServerResponse {
  reply.hijack();
  return reply.raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no', // nginx would hold events back
    'x-request-id': request.id,
  });
}
