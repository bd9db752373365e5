import { Controller } from '@nestjs/common';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Page } from '../http/paging.js';
import type { Answer, Caller } from '../http/request.js';
import { PromotionReads } from './promotion-reads.js';
import {
  abortPromotion,
  approvePromotion,
  createPromotion,
  createRollback,
  getPromotion,
  listPromotions,
  pausePromotion,
  type PromotionView,
  rejectPromotion,
  resumePromotion,
  rollbackPromotion,
  skipPromotion,
} from './promotions.endpoints.js';
import { PromotionsService } from './promotions.service.js';

type View = Promise<Answer<PromotionView>>;
type ActionInput = InputOf<typeof pausePromotion>;

@Controller()
export class PromotionsController {
  constructor(
    private readonly promotions: PromotionsService,
    private readonly reads: PromotionReads,
  ) {}

  @Route(createPromotion)
  async create(@Input() { body }: InputOf<typeof createPromotion>, @CurrentCaller() caller: Caller): View {
    return this.waited(caller, await this.promotions.create(caller, body));
  }

  @Route(createRollback)
  async rollBackTo(@Input() { body }: InputOf<typeof createRollback>, @CurrentCaller() caller: Caller): View {
    return this.waited(caller, await this.promotions.rollBackTo(caller, body));
  }

  @Route(listPromotions)
  list(@Input() { query }: InputOf<typeof listPromotions>): Promise<Answer<Page<PromotionView>>> {
    return this.reads.list(query);
  }

  @Route(getPromotion)
  get(@Input() { params }: InputOf<typeof getPromotion>): View {
    return this.reads.get(params.promotion);
  }

  @Route(approvePromotion)
  approve(@Input() { params, body }: InputOf<typeof approvePromotion>, @CurrentCaller() caller: Caller): View {
    return this.promotions.act(caller, params.promotion, 'approve', body.comment ?? null);
  }

  @Route(rejectPromotion)
  reject(@Input() { params, body }: ActionInput, @CurrentCaller() caller: Caller): View {
    return this.promotions.act(caller, params.promotion, 'reject', body.reason);
  }

  @Route(pausePromotion)
  pause(@Input() { params, body }: ActionInput, @CurrentCaller() caller: Caller): View {
    return this.promotions.act(caller, params.promotion, 'pause', body.reason);
  }

  @Route(resumePromotion)
  resume(@Input() { params, body }: ActionInput, @CurrentCaller() caller: Caller): View {
    return this.promotions.act(caller, params.promotion, 'resume', body.reason);
  }

  @Route(abortPromotion)
  abort(@Input() { params, body }: ActionInput, @CurrentCaller() caller: Caller): View {
    return this.promotions.act(caller, params.promotion, 'abort', body.reason);
  }

  @Route(rollbackPromotion)
  rollback(@Input() { params, body }: ActionInput, @CurrentCaller() caller: Caller): View {
    return this.promotions.act(caller, params.promotion, 'rollback', body.reason);
  }

  @Route(skipPromotion)
  skip(@Input() { params, body }: ActionInput, @CurrentCaller() caller: Caller): View {
    return this.promotions.act(caller, params.promotion, 'skip', body.reason);
  }

  /** For who prefers to wait, its end; a promotion that takes longer goes on. */
  private waited({ until }: Caller, answer: Answer<PromotionView>): View {
    return until === undefined ? Promise.resolve(answer) : this.reads.ended(answer, until);
  }
}
