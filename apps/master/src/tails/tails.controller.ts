import { Controller, Inject, type OnModuleDestroy, Req, Res } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { FastifyReply } from 'fastify';
import { fail, type TailFilter } from '#model';
import type { Logger } from '#platform';
import { DataSource, type EntityManager } from 'typeorm';
import { CurrentCaller } from '../access/caller.decorator.js';
import { LOG } from '../config/tokens.js';
import { CONNECTED } from '../fleet/fleet-sql.js';
import { beginEvents } from '../http/begin-events.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import { type Caller, type MasterRequest, noContent } from '../http/request.js';
import { Writes } from '../writes/writes.js';
import { type TailedReplica, TailStream } from './tail-stream.js';
import type { TailOf } from './tail-talk.js';
import { Tails } from './tails.js';
import { tailRegion, tailReplica } from './tails.endpoints.js';

/** Of one master. A replica serves two such masters at once. */
const MOST_STREAMS = 16;

@Controller()
export class TailsController implements OnModuleDestroy {
  private readonly streams = new Set<TailStream>();
  private stopping = false;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
    private readonly tails: Tails,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  /** Streams would hold the server open. */
  onModuleDestroy(): void {
    this.stopping = true;
    for (const stream of this.streams) stream.stop();
  }

  @Route(tailRegion)
  region(
    @Input() { params, query }: InputOf<typeof tailRegion>,
    @CurrentCaller() caller: Caller,
    @Req() request: MasterRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    return this.stream({ region: params.region, replica: null }, query, caller, request, reply);
  }

  @Route(tailReplica)
  async replica(
    @Input() { params: { replica }, query }: InputOf<typeof tailReplica>,
    @CurrentCaller() caller: Caller,
    @Req() request: MasterRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const rows: { region: string }[] = await this.source.query(
      'SELECT region_id AS region FROM replica WHERE id = $1',
      [replica],
    );
    if (!rows[0]) throw fail('not_found', `there is no replica "${replica}"`);
    return this.stream({ region: rows[0].region, replica }, query, caller, request, reply);
  }

  private async stream(
    of: TailOf,
    filter: TailFilter,
    caller: Caller,
    request: MasterRequest,
    reply: FastifyReply,
  ): Promise<void> {
    if (this.streams.size >= MOST_STREAMS)
      throw fail('too_many_tails', `${MOST_STREAMS} look at requests by this master`, {
        headers: { 'retry-after': '30' },
      });
    const replicas = await this.begin(of, filter, caller);
    const response = beginEvents(request, reply);
    const { tails } = this;
    const look = (): Promise<readonly TailedReplica[]> => replicasOf(this.source.manager, of);
    const now = (): number => performance.now();
    const stream = new TailStream({ tails, of, filter, replicas, look, now }, response);
    this.streams.add(stream);
    if (this.stopping) stream.stop(); // it was in the audit log's hands when the others ended
    try {
      await stream.run();
    } catch (error) {
      this.log.debug({ requestId: request.id, cause: (error as Error).message }, 'a tail broke off');
    } finally {
      this.streams.delete(stream);
    }
  }

  /** Nobody looks without a line in the audit log. */
  private async begin(of: TailOf, filter: TailFilter, caller: Caller): Promise<TailedReplica[]> {
    let replicas: TailedReplica[] = [];
    await this.writes.run(caller, async (tx) => {
      const [known] = await tx.manager.query<object[]>('SELECT FROM region WHERE id = $1', [of.region]);
      if (!known) throw fail('not_found', `there is no region "${of.region}"`);
      replicas = await replicasOf(tx.manager, of);
      const target = of.replica === null ? `region/${of.region}` : `replica/${of.replica}`;
      tx.audit({ action: 'access-log.tail', target, after: filter });
      return noContent();
    });
    return replicas;
  }
}

async function replicasOf(manager: EntityManager, { region, replica }: TailOf): Promise<TailedReplica[]> {
  const rows: TailedReplica[] = await manager.query(
    `SELECT r.id, coalesce(${CONNECTED}, false) AS connected FROM replica r
     WHERE r.region_id = $1 AND ($2::text IS NULL OR r.id = $2) ORDER BY r.id`,
    [region, replica],
  );
  return rows;
}
