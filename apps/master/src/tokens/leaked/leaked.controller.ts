import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../../http/endpoint.js';
import type { Answer, Caller } from '../../http/request.js';
import { type LeakedKeyView, reportLeakedKey } from './leaked.endpoints.js';
import { LeakedService } from './leaked.service.js';

@Controller()
export class LeakedController {
  constructor(private readonly leaks: LeakedService) {}

  @Route(reportLeakedKey)
  report(
    @Input() { body: { key: secret, ...body } }: InputOf<typeof reportLeakedKey>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<LeakedKeyView>> {
    return this.leaks.report(caller, { secret, ...body });
  }
}
