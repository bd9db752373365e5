import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Answer, Caller } from '../http/request.js';
import { decideOffice, getOffice, type OfficeView } from './office.endpoints.js';
import { OfficeService } from './office.service.js';

@Controller()
export class OfficeController {
  constructor(private readonly office: OfficeService) {}

  @Route(getOffice)
  get(@Input() { params }: InputOf<typeof getOffice>): Promise<Answer<OfficeView>> {
    return this.office.get(params.environment);
  }

  @Route(decideOffice)
  decide(
    @Input() { params, body }: InputOf<typeof decideOffice>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<OfficeView>> {
    return this.office.decide(caller, params.environment, body.decision);
  }
}
