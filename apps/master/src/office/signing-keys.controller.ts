import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Answer, Caller } from '../http/request.js';
import {
  announceSigningKey,
  listSigningKeys,
  retireSigningKey,
  type SigningKeyView,
} from './signing-keys.endpoints.js';
import { SigningKeysService } from './signing-keys.service.js';

@Controller()
export class SigningKeysController {
  constructor(private readonly keys: SigningKeysService) {}

  @Route(listSigningKeys)
  list(): Promise<Answer<{ items: SigningKeyView[] }>> {
    return this.keys.list();
  }

  @Route(announceSigningKey)
  announce(
    @Input() { body }: InputOf<typeof announceSigningKey>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<SigningKeyView>> {
    return this.keys.announce(caller, body.publicKey);
  }

  @Route(retireSigningKey)
  retire(
    @Input() { params, query }: InputOf<typeof retireSigningKey>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<undefined>> {
    return this.keys.retire(caller, params.key, query.force === 'true');
  }
}
