import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Logger } from '#platform';
import { ReplicaModule } from '../replica.module.js';
import type { Ask } from './ask.service.js';
import type { Node } from './node.js';

export interface AdminApp {
  port: number;
  close(): Promise<void>;
}

/** Longer than the 60 s of usual load balancers, so that they close first. */
const IDLE_MS = 65_000;

export interface AdminOptions {
  node: Node;
  ask: Ask;
  log: Logger;
  /** 0: any free one */
  port: number;
  host: string;
}

/** Listens on the admin port. @throws the system's error when it is taken */
export async function listenAdmin({ node, ask, log, port, host }: AdminOptions): Promise<AdminApp> {
  const adapter = new FastifyAdapter({ keepAliveTimeout: IDLE_MS, forceCloseConnections: 'idle' });
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
