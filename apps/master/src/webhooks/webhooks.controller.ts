import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Page } from '../http/paging.js';
import type { Answer, Caller } from '../http/request.js';
import { DeliveriesService } from './deliveries.service.js';
import {
  createWebhook,
  deleteWebhook,
  type DeliveryView,
  getWebhook,
  type IssuedWebhookView,
  listDeliveries,
  listWebhooks,
  replayDead,
  replayDelivery,
  rotateWebhook,
  testWebhook,
  updateWebhook,
  type WebhookView,
} from './webhooks.endpoints.js';
import { WebhooksService } from './webhooks.service.js';

@Controller()
export class WebhooksController {
  constructor(
    private readonly webhooks: WebhooksService,
    private readonly deliveries: DeliveriesService,
  ) {}

  @Route(createWebhook)
  create(
    @Input() { body }: InputOf<typeof createWebhook>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<IssuedWebhookView>> {
    return this.webhooks.create(caller, body);
  }

  @Route(listWebhooks)
  list(@Input() { query }: InputOf<typeof listWebhooks>): Promise<Answer<Page<WebhookView>>> {
    return this.webhooks.list(query);
  }

  @Route(getWebhook)
  get(@Input() { params }: InputOf<typeof getWebhook>): Promise<Answer<WebhookView>> {
    return this.webhooks.get(params.webhook);
  }

  @Route(updateWebhook)
  update(
    @Input() { params, body }: InputOf<typeof updateWebhook>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<WebhookView>> {
    return this.webhooks.update(caller, params.webhook, body);
  }

  @Route(deleteWebhook)
  delete(
    @Input() { params }: InputOf<typeof deleteWebhook>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<undefined>> {
    return this.webhooks.delete(caller, params.webhook);
  }

  @Route(rotateWebhook)
  rotate(
    @Input() { params, body }: InputOf<typeof rotateWebhook>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<IssuedWebhookView>> {
    return this.webhooks.rotate(caller, params.webhook, body.overlapSeconds);
  }

  @Route(testWebhook)
  test(
    @Input() { params }: InputOf<typeof testWebhook>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<{ event: string }>> {
    return this.deliveries.test(caller, params.webhook);
  }

  @Route(listDeliveries)
  listDeliveries(@Input() { params, query }: InputOf<typeof listDeliveries>): Promise<Answer<Page<DeliveryView>>> {
    return this.deliveries.list(params.webhook, query);
  }

  @Route(replayDelivery)
  replay(
    @Input() { params }: InputOf<typeof replayDelivery>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<DeliveryView>> {
    return this.deliveries.replay(caller, params.webhook, params.delivery);
  }

  @Route(replayDead)
  replayDead(
    @Input() { params }: InputOf<typeof replayDead>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<{ replayed: number }>> {
    return this.deliveries.replayDead(caller, params.webhook);
  }
}
