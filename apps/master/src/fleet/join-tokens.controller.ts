import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Page } from '../http/paging.js';
import type { Answer, Caller } from '../http/request.js';
import {
  createJoinToken,
  deleteJoinToken,
  getJoinToken,
  type JoinTokenMade,
  type JoinTokenView,
  listJoinTokens,
} from './join-tokens.endpoints.js';
import { JoinTokensService } from './join-tokens.service.js';

@Controller()
export class JoinTokensController {
  constructor(private readonly tokens: JoinTokensService) {}

  @Route(createJoinToken)
  create(
    @Input() { body }: InputOf<typeof createJoinToken>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<JoinTokenMade>> {
    return this.tokens.create(caller, body);
  }

  @Route(listJoinTokens)
  list(@Input() { query }: InputOf<typeof listJoinTokens>): Promise<Answer<Page<JoinTokenView>>> {
    return this.tokens.list(query);
  }

  @Route(getJoinToken)
  get(@Input() { params }: InputOf<typeof getJoinToken>): Promise<Answer<JoinTokenView>> {
    return this.tokens.get(params.token);
  }

  @Route(deleteJoinToken)
  delete(
    @Input() { params }: InputOf<typeof deleteJoinToken>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<undefined>> {
    return this.tokens.delete(caller, params.token);
  }
}
