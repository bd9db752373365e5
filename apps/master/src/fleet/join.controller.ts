import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Answer, Caller } from '../http/request.js';
import { type Joined, joinFleet } from './join.endpoints.js';
import { JoinService } from './join.service.js';

@Controller()
export class JoinController {
  constructor(private readonly joining: JoinService) {}

  @Route(joinFleet)
  join(@Input() { body }: InputOf<typeof joinFleet>, @CurrentCaller() caller: Caller): Promise<Answer<Joined>> {
    return this.joining.join(caller, body);
  }
}
