import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { InjectDataSource } from '@nestjs/typeorm';
import type { Logger } from '#platform';
import { DataSource } from 'typeorm';
import { LOG } from '../config/tokens.js';
import { Writes } from '../writes/writes.js';
import { matchesType } from './event-type.js';

/** For events of a master that has died, or that wrote past `Writes`. */
const LOOK_MS = 1_000;
const AT_A_TIME = 500;
/** Any number that nobody else takes. */
const LOCK = 4_711_022;

/**
 * Gives events the order in which they are read, after their commits: ids that are given out before it become visible in any
 * order, and a reader who goes on after the largest one would miss some. One transaction at a time does it, whichever master's, and
 * writes in it also to whom each event is to be sent.
 */
@Injectable()
export class EventOrder implements OnApplicationBootstrap, OnModuleDestroy {
  private working: Promise<void> | undefined;
  private again = false;
  private stopped = false;
  private toSend: () => void = () => undefined;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(LOG) private readonly log: Logger,
    private readonly writes: Writes,
  ) {}

  onApplicationBootstrap(): void {
    this.writes.onEvents(() => this.ring());
  }

  async onModuleDestroy(): Promise<void> {
    this.stopped = true;
    await this.working;
  }

  /** @param listener called when there is something to send; it must not throw */
  onDeliveries(listener: () => void): void {
    this.toSend = listener;
  }

  /** There may be new events. */
  @Interval('event-order', LOOK_MS)
  ring(): void {
    this.again = true;
    if (!this.stopped) this.working ??= this.work().finally(() => (this.working = undefined));
  }

  private async work(): Promise<void> {
    try {
      while (this.again && !this.stopped) {
        this.again = false;
        const { events, deliveries } = await this.some();
        if (events === AT_A_TIME) this.again = true;
        if (deliveries > 0) this.toSend();
      }
    } catch (error) {
      this.log.debug({ cause: (error as Error).message }, 'events cannot be put in order; it is tried again');
    }
  }

  private async some(): Promise<{ events: number; deliveries: number }> {
    const nothing = { events: 0, deliveries: 0 };
    const [any]: { waits: boolean }[] = await this.source.query(
      'SELECT EXISTS (SELECT FROM event WHERE position IS NULL) AS waits',
    );
    if (!any?.waits) return nothing;
    return this.source.transaction(async (manager) => {
      await manager.query('SELECT pg_advisory_xact_lock($1)', [LOCK]);
      // a statement of its own: it sees what was committed while it waited for the lock
      const [done]: { events: number; deliveries: number }[] = await manager.query(PLACE);
      return done ?? nothing;
    });
  }
}

/** Of one subject, who commits later has a larger `written`: they stay in order. `webhook.test` is for one webhook alone. */
const PLACE = `
  WITH numbered AS (
    SELECT written, nextval('event_position') AS position
    FROM (SELECT written FROM event WHERE position IS NULL ORDER BY written LIMIT ${AT_A_TIME}) AS first
  ), placed AS (
    UPDATE event e SET position = n.position FROM numbered n WHERE e.written = n.written RETURNING e.id, e.position, e.type, e.subject, e.environment_id
  ), sent AS (
    INSERT INTO webhook_delivery (webhook_id, event_id, subject, position)
    SELECT w.id, p.id, p.subject, p.position FROM placed p JOIN webhook w ON w.enabled AND CASE WHEN p.type = 'webhook.test' THEN p.subject = 'webhook/' || w.id ELSE
      (w.environments IS NULL OR p.environment_id IS NULL OR p.environment_id = ANY (w.environments))
      AND EXISTS (SELECT FROM unnest(w.types) AS t WHERE ${matchesType('p.type', 't')}) END
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM placed)::int AS events, (SELECT count(*) FROM sent)::int AS deliveries`;
