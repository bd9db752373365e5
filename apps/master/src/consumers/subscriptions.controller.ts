import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Page } from '../http/paging.js';
import type { Answer, Caller } from '../http/request.js';
import {
  createSubscription,
  deleteSubscription,
  getSubscription,
  listSubscriptions,
  type SubscriptionView,
  updateSubscription,
} from './subscriptions.endpoints.js';
import { SubscriptionsService } from './subscriptions.service.js';

@Controller()
export class SubscriptionsController {
  constructor(private readonly subscriptions: SubscriptionsService) {}

  @Route(createSubscription)
  create(
    @Input() { body }: InputOf<typeof createSubscription>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<SubscriptionView>> {
    return this.subscriptions.create(caller, body);
  }

  @Route(listSubscriptions)
  list(
    @Input() { query: { limit, cursor, ...filter } }: InputOf<typeof listSubscriptions>,
  ): Promise<Answer<Page<SubscriptionView>>> {
    return this.subscriptions.list(filter, { limit, cursor });
  }

  @Route(getSubscription)
  get(@Input() { params }: InputOf<typeof getSubscription>): Promise<Answer<SubscriptionView>> {
    return this.subscriptions.get(params.subscription);
  }

  @Route(updateSubscription)
  update(
    @Input() { params, body }: InputOf<typeof updateSubscription>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<SubscriptionView>> {
    return this.subscriptions.update(caller, params.subscription, body.plan);
  }

  @Route(deleteSubscription)
  delete(
    @Input() { params }: InputOf<typeof deleteSubscription>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<undefined>> {
    return this.subscriptions.delete(caller, params.subscription);
  }
}
