import { Inject, Injectable } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { InjectDataSource } from '@nestjs/typeorm';
import type { Logger } from '#platform';
import { DataSource } from 'typeorm';
import { LOG } from '../config/tokens.js';
import { EVENT_DAYS } from './events.endpoints.js';

const EVERY_MS = 10 * 60_000;
/** One statement, which holds no lock for long. */
const AT_A_TIME = 10_000;

/** Forgets old events, and with each what became of its deliveries. Several masters may do it: each takes what no other has locked. */
@Injectable()
export class EventKeeper {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  @Interval('event-keeper', EVERY_MS)
  async sweep(): Promise<void> {
    try {
      let forgotten = AT_A_TIME;
      while (forgotten === AT_A_TIME) [, forgotten] = await this.source.query<[unknown, number]>(FORGET);
    } catch (error) {
      this.log.warn({ cause: (error as Error).message }, 'old events could not be forgotten; it is tried again');
    }
  }
}

/** A promotion may stay open for long: who reads its events gets all of them. */
const FORGET = `
  DELETE FROM event WHERE written IN (
    SELECT e.written FROM event e
    WHERE e.at < now() - interval '${EVENT_DAYS} days' AND e.position IS NOT NULL
      AND NOT EXISTS (SELECT FROM promotion_lock l WHERE e.subject = 'promotion/' || l.promotion_id)
    ORDER BY e.at LIMIT ${AT_A_TIME} FOR UPDATE SKIP LOCKED
  )`;
