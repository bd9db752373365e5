import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../../http/endpoint.js';
import type { Answer, Caller } from '../../http/request.js';
import { type RevokedTokenView, revokeToken } from './revoked-tokens.endpoints.js';
import { RevokedTokensService } from './revoked-tokens.service.js';

@Controller()
export class RevokedTokensController {
  constructor(private readonly tokens: RevokedTokensService) {}

  @Route(revokeToken)
  revoke(
    @Input() { params, body }: InputOf<typeof revokeToken>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<RevokedTokenView>> {
    return this.tokens.revoke(caller, params.environment, body);
  }
}
