import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Page } from '../http/paging.js';
import type { Answer, Caller } from '../http/request.js';
import {
  createEnvironment,
  deleteEnvironment,
  type EnvironmentView,
  getEnvironment,
  listEnvironments,
} from './environments.endpoints.js';
import { EnvironmentsService } from './environments.service.js';

@Controller()
export class EnvironmentsController {
  constructor(private readonly environments: EnvironmentsService) {}

  @Route(createEnvironment)
  create(
    @Input() { body }: InputOf<typeof createEnvironment>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<EnvironmentView>> {
    return this.environments.create(caller, body);
  }

  @Route(listEnvironments)
  list(@Input() { query }: InputOf<typeof listEnvironments>): Promise<Answer<Page<EnvironmentView>>> {
    return this.environments.list(query);
  }

  @Route(getEnvironment)
  get(@Input() { params }: InputOf<typeof getEnvironment>): Promise<Answer<EnvironmentView>> {
    return this.environments.get(params.environment);
  }

  @Route(deleteEnvironment)
  delete(
    @Input() { params }: InputOf<typeof deleteEnvironment>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<undefined>> {
    return this.environments.delete(caller, params.environment);
  }
}
