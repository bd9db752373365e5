import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../../http/endpoint.js';
import type { Page } from '../../http/paging.js';
import type { Answer, Caller } from '../../http/request.js';
import {
  bindClient,
  getOutsideClient,
  listOutsideClients,
  type OutsideClientView,
  revokeOutsideClient,
  revokeOutsideTokens,
  updateOutsideClient,
} from './outside-clients.endpoints.js';
import { OutsideClientsService } from './outside-clients.service.js';

@Controller()
export class OutsideClientsController {
  constructor(private readonly clients: OutsideClientsService) {}

  @Route(bindClient)
  bind(
    @Input() { params, body }: InputOf<typeof bindClient>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<OutsideClientView>> {
    return this.clients.bind(caller, params.application, body);
  }

  @Route(listOutsideClients)
  list(
    @Input() { params, query: { environment, ...page } }: InputOf<typeof listOutsideClients>,
  ): Promise<Answer<Page<OutsideClientView>>> {
    return this.clients.list(params.application, environment, page);
  }

  @Route(getOutsideClient)
  get(@Input() { params }: InputOf<typeof getOutsideClient>): Promise<Answer<OutsideClientView>> {
    return this.clients.get(params.application, params.client);
  }

  @Route(updateOutsideClient)
  update(
    @Input() { params, body }: InputOf<typeof updateOutsideClient>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<OutsideClientView>> {
    return this.clients.update(caller, params.application, params.client, body);
  }

  @Route(revokeOutsideClient)
  revoke(
    @Input() { params, body }: InputOf<typeof revokeOutsideClient>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<OutsideClientView>> {
    return this.clients.revoke(caller, params.application, params.client, body?.reason);
  }

  @Route(revokeOutsideTokens)
  revokeTokens(
    @Input() { params, body }: InputOf<typeof revokeOutsideTokens>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<OutsideClientView>> {
    return this.clients.revokeTokens(caller, params.application, params.client, body?.before);
  }
}
