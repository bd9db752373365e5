import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Page } from '../http/paging.js';
import type { Answer, Caller } from '../http/request.js';
import {
  type ApplicationView,
  createApplication,
  deleteApplication,
  getApplication,
  listApplications,
  updateApplication,
} from './applications.endpoints.js';
import { ApplicationsService } from './applications.service.js';

@Controller()
export class ApplicationsController {
  constructor(private readonly applications: ApplicationsService) {}

  @Route(createApplication)
  create(
    @Input() { body }: InputOf<typeof createApplication>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<ApplicationView>> {
    return this.applications.create(caller, body);
  }

  @Route(listApplications)
  list(
    @Input() { query: { limit, cursor, ...filter } }: InputOf<typeof listApplications>,
  ): Promise<Answer<Page<ApplicationView>>> {
    return this.applications.list(filter, { limit, cursor });
  }

  @Route(getApplication)
  get(@Input() { params }: InputOf<typeof getApplication>): Promise<Answer<ApplicationView>> {
    return this.applications.get(params.application);
  }

  @Route(updateApplication)
  update(
    @Input() { params, body }: InputOf<typeof updateApplication>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<ApplicationView>> {
    return this.applications.update(caller, params.application, body);
  }

  @Route(deleteApplication)
  delete(
    @Input() { params }: InputOf<typeof deleteApplication>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<undefined>> {
    return this.applications.delete(caller, params.application);
  }
}
