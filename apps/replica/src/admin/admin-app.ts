import 'reflect-metadata';
import type { Socket } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { fail } from '#model';
import { type Logger, RoutedMethods } from '#platform';
import { BOUNDS } from '../gateway/engine/bounds.js';
import { explainClientError, rawProblem } from './raw-problem.js';
import { ReplicaModule } from '../replica.module.js';
import type { Ask } from './ask.service.js';
import type { Node } from './node.js';
import { sendProblem } from './problem.filter.js';

export interface AdminApp {
  port: number;
  close(): Promise<void>;
}

/** Longer than the 60 s of usual load balancers, so that they close first. */
const IDLE_MS = 65_000;

const NOT_READ = 'application/vnd.heliograph.not-read';

export interface AdminOptions {
  node: Node;
  ask: Ask;
  log: Logger;
  /** 0: any free one */
  port: number;
  host: string;
}

/**
 * Proxies ask /auth with the method and the fields of a request whose body stays with them. For Fastify a method and a
 * content type make a body, and it would refuse what is empty, or of a type that it does not know.
 */
function leaveBodies(adapter: FastifyAdapter): void {
  const instance = adapter.getInstance();
  instance.addContentTypeParser(NOT_READ, (_request, _body, done) => done(null));
  instance.addHook('onRequest', (request, _reply, done) => {
    if (request.routeOptions.url === '/auth') request.raw.headers['content-type'] = NOT_READ;
    done();
  });
}

/** Says 405 and not 404 of a path that is there for other methods. */
function refuseMethods(adapter: FastifyAdapter): void {
  const instance = adapter.getInstance();
  const routed = new RoutedMethods();
  instance.addHook('onRoute', ({ url, method }) => routed.add(url, method));
  instance.addHook('onRequest', (request, _reply, done) => {
    const path = request.url.split('?')[0] ?? '';
    const allow = request.is404 ? routed.allow(path) : null;
    if (allow === null) return done();
    done(fail('method_not_allowed', `${path} is there for ${allow} only`, { headers: { allow } }));
  });
}

function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
  const { status, detail } = explainClientError(error);
  socket.end(rawProblem(status, detail));
  socket.setTimeout(BOUNDS.lingerMs); // a reset at once would overtake the answer to a client that still sends
}

/** Listens on the admin port. @throws the system's error when it is taken */
export async function listenAdmin({ node, ask, log, port, host }: AdminOptions): Promise<AdminApp> {
  const adapter = new FastifyAdapter({
    http: { maxHeaderSize: BOUNDS.headBytes, headersTimeout: BOUNDS.headMs },
    keepAliveTimeout: IDLE_MS,
    forceCloseConnections: 'idle',
    // what is refused before there is a route never gets to the filter
    frameworkErrors: ({ message }: Error, request: FastifyRequest, reply: FastifyReply) =>
      sendProblem(reply, fail('bad_request', message), request.url.split('?')[0] ?? '/'),
    clientErrorHandler: refuseMalformed,
  });
  leaveBodies(adapter);
  refuseMethods(adapter);
  const options = { logger: false, abortOnError: false } as const;
  const app = await NestFactory.create<NestFastifyApplication>(ReplicaModule.with(node, ask, log), adapter, options);
  try {
    await app.listen(port, host);
  } catch (error) {
    await app.close();
    throw error;
  }
  const address = app.getHttpServer().address();
  return { port: typeof address === 'object' && address ? address.port : port, close: () => app.close() };
}
