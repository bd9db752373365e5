import { Controller, Inject, type OnModuleDestroy, Req, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { fail } from '#model';
import type { Logger } from '#platform';
import { LOG } from '../config/tokens.js';
import { beginEvents } from '../http/begin-events.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { MasterRequest } from '../http/request.js';
import { EventStream, nothingAfter } from './event-stream.js';
import type { ObserveSources } from './observe.js';
import { OBSERVE_SOURCES, PromotionReads } from './promotion-reads.js';
import { PromotionWatch } from './promotion-watch.js';
import { promotionEvents } from './promotions.endpoints.js';

/** Of one master. Each is a connection, and nothing else: one look serves all of them. */
const MOST_STREAMS = 2_000;

@Controller()
export class PromotionEventsController implements OnModuleDestroy {
  private readonly streams = new Set<EventStream>();

  constructor(
    private readonly reads: PromotionReads,
    @Inject(OBSERVE_SOURCES) private readonly sources: ObserveSources,
    @Inject(PromotionWatch) private readonly watch: PromotionWatch,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  /** Streams would hold the server open. */
  onModuleDestroy(): void {
    for (const stream of this.streams) stream.stop();
  }

  @Route(promotionEvents)
  async events(
    @Input() { params: { promotion } }: InputOf<typeof promotionEvents>,
    @Req() request: MasterRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const after = lastEventId(request.headers['last-event-id']);
    await this.reads.row(promotion);
    if (after !== NONE && (await nothingAfter(this.sources.query, promotion, after))) {
      await reply.status(204).send(); // what keeps a browser from coming back
      return;
    }
    if (this.streams.size >= MOST_STREAMS)
      throw fail('too_many_streams', `${MOST_STREAMS} streams of events are open at this master`, {
        headers: { 'retry-after': '30' },
      });
    const response = beginEvents(request, reply);
    const stream = new EventStream(this.sources.query, this.watch, response);
    this.streams.add(stream);
    try {
      await stream.run(promotion, after);
    } catch (error) {
      this.log.debug({ requestId: request.id, cause: (error as Error).message }, 'a stream of events broke off');
    } finally {
      this.streams.delete(stream);
    }
  }
}

const NONE = '0';

/** @throws HelioError `invalid_request` for what no event had */
function lastEventId(header: string | string[] | undefined): string {
  if (header === undefined || header === '') return NONE;
  if (typeof header === 'string' && /^\d{1,18}$/.test(header)) return header;
  throw fail('invalid_request', 'Last-Event-ID: is not the id of an event', {
    fields: [
      { field: 'Last-Event-ID', problem: 'is not the id of an event', expected: 'the `id` of the last one that came' },
    ],
  });
}
