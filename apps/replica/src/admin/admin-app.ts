import 'reflect-metadata';
import type { Server as HttpsServer } from 'node:https';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { fail } from '#model';
import { type Logger, RoutedMethods } from '#platform';
import type { CertificateWatch } from '../gateway/tls/certificate-watch.js';
import { AdminTls } from './admin-tls.js';
import { ReplicaModule } from '../replica.module.js';
import type { Ask } from './ask.service.js';
import { AdminConnections } from './doors/admin-connections.js';
import { Others } from './doors/others.js';
import type { Node } from './node.js';
import { sendProblem } from './problem.filter.js';

export interface AdminApp {
  port: number;
  close(): Promise<void>;
}

export interface AdminOptions {
  node: Node;
  ask: Ask;
  log: Logger;
  /** 0: any free one */
  port: number;
  host: string;
  /** default: plain HTTP */
  certificates?: CertificateWatch | null;
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

/** Listens on the admin port. @throws the system's error when it is taken */
export async function listenAdmin({ node, ask, log, port, host, certificates }: AdminOptions): Promise<AdminApp> {
  const tls = certificates && new AdminTls(certificates);
  const adapter = new FastifyAdapter({
    ...(tls ? { https: tls.options } : {}),
    // what is refused before there is a route never gets to the filter
    frameworkErrors: ({ message }: Error, request: FastifyRequest, reply: FastifyReply) =>
      sendProblem(reply, fail('bad_request', message), request.url.split('?')[0] ?? '/'),
  });
  refuseMethods(adapter);
  const options = { logger: false, abortOnError: false } as const;
  const app = await NestFactory.create<NestFastifyApplication>(ReplicaModule.with(node, log), adapter, options);
  const connections = new AdminConnections(ask, new Others(adapter.getInstance()), log);
  const close = async (): Promise<void> => {
    await Promise.all([connections.close(), app.close()]);
  };
  try {
    connections.serve(app.getHttpServer(), tls ? 'secureConnection' : 'connection');
    await app.listen(port, host);
  } catch (error) {
    await close();
    throw error;
  }
  tls?.follow(app.getHttpServer() as HttpsServer);
  const address = app.getHttpServer().address();
  return { port: typeof address === 'object' && address ? address.port : port, close };
}
