import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Page } from '../http/paging.js';
import type { Answer, Caller } from '../http/request.js';
import { type ApiView, createApi, deleteApi, getApi, listApis } from './apis.endpoints.js';
import { ApisService } from './apis.service.js';

@Controller()
export class ApisController {
  constructor(private readonly apis: ApisService) {}

  @Route(createApi)
  create(@Input() { body }: InputOf<typeof createApi>, @CurrentCaller() caller: Caller): Promise<Answer<ApiView>> {
    return this.apis.create(caller, body);
  }

  @Route(listApis)
  list(@Input() { query }: InputOf<typeof listApis>): Promise<Answer<Page<ApiView>>> {
    return this.apis.list(query);
  }

  @Route(getApi)
  get(@Input() { params }: InputOf<typeof getApi>): Promise<Answer<ApiView>> {
    return this.apis.get(params.api);
  }

  @Route(deleteApi)
  delete(@Input() { params }: InputOf<typeof deleteApi>, @CurrentCaller() caller: Caller): Promise<Answer<undefined>> {
    return this.apis.delete(caller, params.api);
  }
}
