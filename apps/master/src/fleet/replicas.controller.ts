import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Page } from '../http/paging.js';
import type { Answer, Caller } from '../http/request.js';
import {
  deleteReplica,
  getReplica,
  listReplicas,
  type ReplicaInFull,
  type ReplicaView,
  reportStatus,
} from './replicas.endpoints.js';
import { ReplicasService } from './replicas.service.js';

@Controller()
export class ReplicasController {
  constructor(private readonly replicas: ReplicasService) {}

  @Route(reportStatus)
  report(@Input() { body }: InputOf<typeof reportStatus>, @CurrentCaller() caller: Caller): Promise<Answer<undefined>> {
    return this.replicas.report(caller.actor, body);
  }

  @Route(listReplicas)
  list(@Input() { query }: InputOf<typeof listReplicas>): Promise<Answer<Page<ReplicaView>>> {
    return this.replicas.list(query);
  }

  @Route(getReplica)
  get(@Input() { params }: InputOf<typeof getReplica>): Promise<Answer<ReplicaInFull>> {
    return this.replicas.get(params.replica);
  }

  @Route(deleteReplica)
  delete(
    @Input() { params }: InputOf<typeof deleteReplica>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<undefined>> {
    return this.replicas.delete(caller, params.replica);
  }
}
