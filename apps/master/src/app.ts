import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { ArtifactStore } from '#artifacts';
import { fail, problemType } from '#model';
import { type Logger, PROBLEM_TYPE } from '#platform';
import type { FastifyReply } from 'fastify';
import { Authentication } from './access/access.guard.js';
import { AccessTokens } from './access/access-tokens.js';
import type { MasterConfig } from './config/config.js';
import { LOG, STORE } from './config/tokens.js';
import { migrate } from './database/data-source.js';
import { Draining } from './health/draining.js';
import { MasterMetrics } from './health/master-metrics.js';
import type { MasterRequest } from './http/request.js';
import { installBodyParser } from './http/body-parser.js';
import { installMethodCheck } from './http/method-check.js';
import { sendProblem } from './http/problem.filter.js';
import { MasterModule } from './master.module.js';
import { stripIssuerPath } from './tokens/issuer-path.js';

/** A request id of the caller is kept if it is one that a log can bear. */
const SANE_ID = /^[A-Za-z0-9._:-]{1,128}$/;
const IDLE_MS = 65_000; // longer than the 60 s of usual load balancers, so that they close first

/** Migrates the database and makes the application, ready to listen. */
export async function createApp(config: MasterConfig): Promise<NestFastifyApplication> {
  const strip = stripIssuerPath(config.HELIO_ISSUER);
  const adapter = new FastifyAdapter({
    bodyLimit: Number.MAX_SAFE_INTEGER, // the body parser keeps to each route's own limit
    genReqId: (request: { headers: NodeJS.Dict<string | string[]> }) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && SANE_ID.test(given) ? given : randomUUID();
    },
    keepAliveTimeout: IDLE_MS,
    requestTimeout: 0, // bulk imports stream for minutes
    frameworkErrors: ({ message }: Error, request: MasterRequest, reply: FastifyReply) =>
      sendProblem(reply.header('x-request-id', request.id), fail('invalid_request', message), request),
    clientErrorHandler: refuseMalformed,
    routerOptions: { maxParamLength: 300 },
    rewriteUrl: ({ url = '/' }) => strip(url),
    forceCloseConnections: 'idle',
    return503OnClosing: false, // what was let in is answered
  });
  const fastify = adapter.getInstance();
  const app = await NestFactory.create<NestFastifyApplication>(MasterModule.with(config), adapter, {
    logger: false,
    abortOnError: false,
    bodyParser: false,
  });
  await migrate(config.DATABASE_URL);
  await prepareAccess(app, config);
  installBodyParser(fastify);
  app.get(MasterMetrics).install(fastify);
  app.get(Draining).install(fastify);
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done();
  });
  installMethodCheck(fastify);
  const authentication = app.get(Authentication);
  fastify.addHook('onRequest', (request) => authentication.authenticate(request as unknown as MasterRequest));
  await app.init();
  return app;
}

/** The bootstrap token, where one is configured; a master to which nobody can write says so. */
async function prepareAccess(app: NestFastifyApplication, config: MasterConfig): Promise<void> {
  const tokens = app.get(AccessTokens);
  if (config.HELIO_BOOTSTRAP_ADMIN_TOKEN) await tokens.bootstrap(config.HELIO_BOOTSTRAP_ADMIN_TOKEN);
  else if (!(await tokens.any()))
    app.get<Logger>(LOG).warn('nobody has an access token yet: set HELIO_BOOTSTRAP_ADMIN_TOKEN, and start again');
}

/** Tells what the store lacks, without holding the start up. */
async function probeStore(app: NestFastifyApplication): Promise<void> {
  const log = app.get<Logger>(LOG);
  try {
    const { createOnly, ifMatch } = await app.get<ArtifactStore>(STORE).probe();
    if (!createOnly || !ifMatch)
      log.warn(
        { createOnly, ifMatch },
        'the artifact store does not honour all conditions; epochs alone fence masters',
      );
  } catch (error) {
    log.warn({ cause: String(error) }, 'the artifact store cannot be used now; writes go on, and it is filled later');
  }
}

/** Bytes that are no HTTP, or a head that is too large: there is no request to speak of yet. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
  const tooLarge = error.code === 'HPE_HEADER_OVERFLOW';
  const detail = tooLarge ? 'the head of the request is larger than 16 KiB' : 'the request is not valid HTTP';
  const code = 'invalid_request';
  const status = tooLarge ? '431 Request Header Fields Too Large' : '400 Bad Request';
  const problem = { type: problemType(code), title: status.slice(4), status: Number(status.slice(0, 3)), code, detail };
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/**
 * Ends it without failing a request: those that are under way are answered, revision and all, before what they need is gone. The
 * framework's order does that: streams end (`onModuleDestroy`, `beforeApplicationShutdown`), the server closes, then the rest
 * (`onApplicationShutdown`), publishers before the database's connections.
 */
export async function drain(app: NestFastifyApplication): Promise<void> {
  await app.get(Draining).begin();
  await app.close();
}

/** Listens, and says where. @returns the port, which is another than configured where that is 0 */
export async function listen(app: NestFastifyApplication, config: MasterConfig): Promise<number> {
  await app.listen(config.PORT, config.HELIO_BIND);
  const address = app.getHttpServer().address();
  const port = typeof address === 'object' && address ? address.port : config.PORT;
  app.get<Logger>(LOG).info({ port, store: config.ARTIFACT_STORE, instance: config.instance }, 'the master is ready');
  void probeStore(app);
  return port;
}
