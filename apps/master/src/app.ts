import { randomUUID } from 'node:crypto';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { Logger } from '#platform';
import type { DataSource } from 'typeorm';
import { Authentication } from './access/access.guard.js';
import { AccessTokens } from './access/access-tokens.js';
import type { MasterConfig } from './config/config.js';
import { LOG } from './config/tokens.js';
import { migrate } from './database/data-source.js';
import { MasterMetrics } from './health/master-metrics.js';
import type { MasterRequest } from './http/request.js';
import { installBodyParser } from './http/body-parser.js';
import { MasterModule } from './master.module.js';

/** A request id of the caller is kept if it is one that a log can bear. */
const SANE_ID = /^[A-Za-z0-9._:-]{1,128}$/;
const IDLE_MS = 65_000; // longer than the 60 s of usual load balancers, so that they close first

/** Migrates the database and makes the application, ready to listen. */
export async function createApp(config: MasterConfig): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter({
    bodyLimit: Number.MAX_SAFE_INTEGER, // the body parser keeps to each route's own limit
    genReqId: (request: { headers: NodeJS.Dict<string | string[]> }) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && SANE_ID.test(given) ? given : randomUUID();
    },
    keepAliveTimeout: IDLE_MS,
    requestTimeout: 0, // bulk imports stream for minutes
    routerOptions: { maxParamLength: 300 },
    forceCloseConnections: 'idle',
  });
  const fastify = adapter.getInstance();
  const app = await NestFactory.create<NestFastifyApplication>(MasterModule.with(config), adapter, {
    logger: false,
    abortOnError: false,
    bodyParser: false,
  });
  await migrate(app.get<DataSource>(getDataSourceToken()));
  if (config.HELIO_BOOTSTRAP_ADMIN_TOKEN) await app.get(AccessTokens).bootstrap(config.HELIO_BOOTSTRAP_ADMIN_TOKEN);
  installBodyParser(fastify);
  app.get(MasterMetrics).install(fastify);
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done();
  });
  const authentication = app.get(Authentication);
  fastify.addHook('onRequest', (request) => authentication.authenticate(request as unknown as MasterRequest));
  await app.init();
  return app;
}

/** Listens, and says where. @returns the port, which is another than configured where that is 0 */
export async function listen(app: NestFastifyApplication, config: MasterConfig): Promise<number> {
  await app.listen(config.PORT, config.HELIO_BIND);
  const address = app.getHttpServer().address();
  const port = typeof address === 'object' && address ? address.port : config.PORT;
  app.get<Logger>(LOG).info({ port, store: config.ARTIFACT_STORE, instance: config.instance }, 'the master is ready');
  return port;
}
