import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../../http/endpoint.js';
import type { Answer, Caller } from '../../http/request.js';
import { listTokenKeys, rotateTokenKeys, type TokenKeyView } from './token-keys.endpoints.js';
import { TokenKeysService } from './token-keys.service.js';

@Controller()
export class TokenKeysController {
  constructor(private readonly keys: TokenKeysService) {}

  @Route(listTokenKeys)
  list(@Input() { params }: InputOf<typeof listTokenKeys>): Promise<Answer<{ items: TokenKeyView[] }>> {
    return this.keys.list(params.environment);
  }

  @Route(rotateTokenKeys)
  rotate(
    @Input() { params, body }: InputOf<typeof rotateTokenKeys>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<TokenKeyView>> {
    return this.keys.rotate(caller, params.environment, body.emergency);
  }
}
