import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Page } from '../http/paging.js';
import type { Answer, Caller } from '../http/request.js';
import {
  getKey,
  type IssuedKeyView,
  issueKey,
  type KeyView,
  listKeys,
  revokeKey,
  rotateKey,
  updateKey,
} from './keys.endpoints.js';
import { KeysService } from './keys.service.js';

@Controller()
export class KeysController {
  constructor(private readonly keys: KeysService) {}

  @Route(issueKey)
  issue(
    @Input() { params, body }: InputOf<typeof issueKey>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<IssuedKeyView>> {
    return this.keys.issue(caller, { ...body, application: params.application });
  }

  @Route(listKeys)
  list(@Input() { params, query: { environment, ...page } }: InputOf<typeof listKeys>): Promise<Answer<Page<KeyView>>> {
    return this.keys.list(params.application, environment, page);
  }

  @Route(getKey)
  get(@Input() { params }: InputOf<typeof getKey>): Promise<Answer<KeyView>> {
    return this.keys.get(params.application, params.key);
  }

  @Route(updateKey)
  update(
    @Input() { params, body }: InputOf<typeof updateKey>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<KeyView>> {
    return this.keys.update(caller, params.application, params.key, body);
  }

  @Route(rotateKey)
  rotate(
    @Input() { params, body }: InputOf<typeof rotateKey>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<IssuedKeyView>> {
    return this.keys.rotate(caller, params.application, params.key, body.overlapSeconds, body.expiresAt);
  }

  @Route(revokeKey)
  revoke(
    @Input() { params, body }: InputOf<typeof revokeKey>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<KeyView>> {
    return this.keys.revoke(caller, params.application, params.key, body?.reason);
  }
}
