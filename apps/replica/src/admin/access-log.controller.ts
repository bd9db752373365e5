import { Controller, Get, Inject, Query, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { fail, TAIL, tailFilter } from '#model';
import { faultsOf, type Logger } from '#platform';
import { z } from 'zod';
import { LOG, NODE, type Node } from './node.js';

const query = tailFilter.extend({ tail: z.uuid('must be a UUID that the reader makes, the same each time') });

interface TailedLines {
  /** as in the access log */
  lines: unknown[];
  /** that were left out */
  dropped: number;
}

/**
 * Requests as they are answered, for who is on this machine: with every master gone, too. Asked again and again; what has
 * come since is told, and nothing is kept for who has not asked for 15 s.
 */
@Controller()
export class AccessLogController {
  constructor(
    @Inject(NODE) private readonly node: Node,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  /** @throws HelioError `local_only`; `invalid_request`; `too_many_tails` */
  @Get('access-log')
  read(@Query() given: unknown, @Req() { ip }: FastifyRequest): TailedLines {
    // a line says who calls what: more than whoever may scrape this port is to know
    if (ip !== '::1' && !ip.startsWith('127.'))
      throw fail('local_only', `/access-log is told to this machine alone, and ${ip} is another one`);
    const parsed = query.safeParse(given);
    if (!parsed.success)
      throw fail('invalid_request', 'the query is not what /access-log takes', { fields: faultsOf(parsed.error) });
    const { tail, ...filter } = parsed.data;
    const { tails } = this.node;
    const isNew = !tails.isOpen(tail);
    if (!tails.hold({ tail, forMs: TAIL.holdMs, linesPerSecond: TAIL.linesPerSecond, filter }))
      throw fail('too_many_tails', `${TAIL.readers} readers look at requests of this replica`);
    if (isNew) this.log.info({ tail, filter }, 'somebody on this machine looks at requests');
    const { lines, dropped } = tails.take(tail, TAIL.linesPerSecond);
    return { lines: lines.map((line): unknown => JSON.parse(line)), dropped };
  }
}
