import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Page } from '../http/paging.js';
import type { Answer, Caller } from '../http/request.js';
import { createPlan, deletePlan, getPlan, listPlans, type PlanView, updatePlan } from './plans.endpoints.js';
import { PlansService } from './plans.service.js';

@Controller()
export class PlansController {
  constructor(private readonly plans: PlansService) {}

  @Route(createPlan)
  create(@Input() { body }: InputOf<typeof createPlan>, @CurrentCaller() caller: Caller): Promise<Answer<PlanView>> {
    return this.plans.create(caller, body);
  }

  @Route(listPlans)
  list(@Input() { query }: InputOf<typeof listPlans>): Promise<Answer<Page<PlanView>>> {
    return this.plans.list(query);
  }

  @Route(getPlan)
  get(@Input() { params }: InputOf<typeof getPlan>): Promise<Answer<PlanView>> {
    return this.plans.get(params.plan);
  }

  @Route(updatePlan)
  update(
    @Input() { params, body }: InputOf<typeof updatePlan>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<PlanView>> {
    return this.plans.update(caller, params.plan, body);
  }

  @Route(deletePlan)
  delete(@Input() { params }: InputOf<typeof deletePlan>, @CurrentCaller() caller: Caller): Promise<Answer<undefined>> {
    return this.plans.delete(caller, params.plan);
  }
}
