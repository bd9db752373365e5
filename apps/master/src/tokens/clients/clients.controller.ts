import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../../http/endpoint.js';
import type { Page } from '../../http/paging.js';
import type { Answer, Caller } from '../../http/request.js';
import {
  type ClientView,
  createClient,
  getClient,
  type IssuedClientView,
  listClients,
  revokeClient,
  revokeClientTokens,
  rotateClient,
  updateClient,
} from './clients.endpoints.js';
import { ClientsService } from './clients.service.js';

@Controller()
export class ClientsController {
  constructor(private readonly clients: ClientsService) {}

  @Route(createClient)
  create(
    @Input() { params, body }: InputOf<typeof createClient>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<IssuedClientView>> {
    return this.clients.create(caller, params.application, body);
  }

  @Route(listClients)
  list(
    @Input() { params, query: { environment, ...page } }: InputOf<typeof listClients>,
  ): Promise<Answer<Page<ClientView>>> {
    return this.clients.list(params.application, environment, page);
  }

  @Route(getClient)
  get(@Input() { params }: InputOf<typeof getClient>): Promise<Answer<ClientView>> {
    return this.clients.get(params.application, params.client);
  }

  @Route(updateClient)
  update(
    @Input() { params, body }: InputOf<typeof updateClient>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<ClientView>> {
    return this.clients.update(caller, params.application, params.client, body);
  }

  @Route(rotateClient)
  rotate(
    @Input() { params, body }: InputOf<typeof rotateClient>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<IssuedClientView>> {
    return this.clients.rotate(caller, params.application, params.client, body.overlapSeconds);
  }

  @Route(revokeClient)
  revoke(
    @Input() { params, body }: InputOf<typeof revokeClient>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<ClientView>> {
    return this.clients.revoke(caller, params.application, params.client, body?.reason);
  }

  @Route(revokeClientTokens)
  revokeTokens(
    @Input() { params, body }: InputOf<typeof revokeClientTokens>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<ClientView>> {
    return this.clients.revokeTokens(caller, params.application, params.client, body?.before);
  }
}
