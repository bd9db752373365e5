import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import type { Logger } from '#platform';
import { AccessLogController } from './admin/access-log.controller.js';
import { ChainController } from './admin/chain.controller.js';
import { HealthController } from './admin/health.controller.js';
import { LOG, NODE, type Node } from './admin/node.js';
import { ProblemFilter } from './admin/problem.filter.js';
import { StatusController } from './admin/status.controller.js';

/** What a replica answers on its admin port, but for `/auth` and `/validate`. The gateway's port belongs to its workers, which know no framework. */
@Module({})
export class ReplicaModule {
  static with(node: Node, log: Logger): DynamicModule {
    return {
      module: ReplicaModule,
      controllers: [
        StatusController, // status, metrics
        HealthController, // livez, readyz
        ChainController, // chain, for peers
        AccessLogController, // access-log, for this machine
      ],
      providers: [
        { provide: NODE, useValue: node },
        { provide: LOG, useValue: log },
        { provide: APP_FILTER, useValue: new ProblemFilter(log) },
      ],
    };
  }
}
