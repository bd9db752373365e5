import { Controller, Inject, Req, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { Logger } from '#platform';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LOG } from '../config/tokens.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import type { Answer, MasterRequest } from '../http/request.js';
import { getUsage, type UsagePage } from './usage.endpoints.js';
import { formatOf, TYPES } from './usage-format.js';
import { UsageService } from './usage.service.js';

@Controller()
export class UsageController {
  constructor(
    private readonly usage: UsageService,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  @Route(getUsage)
  async get(
    @Input() { query }: InputOf<typeof getUsage>,
    @Req() request: MasterRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Answer<UsagePage> | undefined> {
    const format = formatOf(query.format, request.headers.accept);
    reply.header('vary', 'accept');
    if (format === 'json') return this.usage.page(query);
    const rows = this.usage.export(query, format);
    // what is wrong with the question is told before it is too late to tell
    const first = await rows.next();
    reply.hijack();
    reply.raw.writeHead(200, {
      'content-type': TYPES[format],
      'content-disposition': `attachment; filename="usage.${format}"`,
      'x-request-id': request.id,
      vary: 'accept',
    });
    try {
      await pipeline(Readable.from(startingWith(first, rows)), reply.raw);
    } catch (error) {
      // an answer is whole, or seen to be broken
      this.log.info({ requestId: request.id, cause: (error as Error).message }, 'an export of usage broke off');
      reply.raw.destroy();
    }
    return undefined;
  }
}

async function* startingWith(
  first: IteratorResult<string, void>,
  rest: AsyncGenerator<string>,
): AsyncGenerator<string> {
  try {
    if (!first.done) yield first.value;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}
