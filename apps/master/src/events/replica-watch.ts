import { Inject, Injectable } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { InjectDataSource } from '@nestjs/typeorm';
import type { Logger } from '#platform';
import { DataSource } from 'typeorm';
import { LOG } from '../config/tokens.js';
import { EventOrder } from './event-order.js';

const EVERY_MS = 5_000;
/** Replicas say something every 5 s: more than one that is lost on the way, or a master that is restarted. */
const SILENT_SECONDS = 60;
const STEADY_MS = SILENT_SECONDS * 1000;

/** Tells of replicas that become stale or halt, and of those that recover: each change once, whichever master sees it. */
@Injectable()
export class ReplicaWatch {
  /** since when looks have come one after the other; by the monotonic clock */
  private steadySince = performance.now();
  private lookedAt = performance.now();

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(LOG) private readonly log: Logger,
    private readonly order: EventOrder,
  ) {}

  @Interval('replica-watch', EVERY_MS)
  async sweep(): Promise<void> {
    const now = performance.now();
    // while this process or the database stood still nobody could report: silence means nothing before they had the time to
    if (now - this.lookedAt > 3 * EVERY_MS) this.steadySince = now;
    this.lookedAt = now;
    try {
      await this.look(now - this.steadySince > STEADY_MS);
    } catch (error) {
      this.steadySince = performance.now();
      this.log.debug({ cause: (error as Error).message }, 'replicas cannot be looked after; it is tried again');
    }
  }

  /** @param heedSilence whether replicas could have reported all the time */
  async look(heedSilence: boolean): Promise<void> {
    const told: { replica: string; type: string; reason: string }[] = await this.source.query(TELL, [heedSilence]);
    if (told.length > 0) this.order.ring();
    for (const { replica, type, reason } of told)
      this.log[type === 'replica.recovered' ? 'info' : 'warn']({ replica, reason }, type.replace('.', ' is '));
  }
}

/** Of one that is silent all else is old: what it said of itself does not count. */
const TELL = `
  WITH seen AS (
    SELECT r.id, CASE
      WHEN coalesce(r.reported_at, r.joined_at) < now() - interval '${SILENT_SECONDS} seconds' THEN CASE WHEN $1 THEN 'silent' ELSE '' END
      WHEN r.status->>'state' = 'halted' THEN 'halted'
      WHEN r.status->>'freshness' = 'stale' AND r.state_since < now() - interval '${SILENT_SECONDS} seconds' THEN 'old-head'
      ELSE 'none' END AS reason
    FROM replica r
  ), judged AS (
    SELECT id, reason, CASE reason WHEN 'none' THEN 'well' WHEN 'halted' THEN 'halted' ELSE 'stale' END AS told FROM seen WHERE reason <> ''
  ), before AS (
    SELECT r.id, r.told FROM replica r JOIN judged j USING (id) WHERE r.told <> j.told ORDER BY r.id FOR NO KEY UPDATE OF r
  ), changed AS (
    UPDATE replica r SET told = j.told FROM judged j JOIN before b USING (id) JOIN region g ON true
    WHERE r.id = j.id AND g.id = r.region_id AND r.told <> j.told
    RETURNING r.id, r.region_id, g.environment_id, b.told AS before, j.told, j.reason, r.revision, r.reported_at, r.status
  ), written AS (
    INSERT INTO event (type, subject, environment_id, actor, data)
    SELECT 'replica.' || CASE told WHEN 'well' THEN 'recovered' ELSE told END, 'replica/' || id, environment_id, 'system', jsonb_build_object(
      'replica', id, 'region', region_id, 'reason', reason, 'before', before, 'revision', revision,
      'heardAt', to_char(reported_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'detail', status->'lastError'->>'detail')
    FROM changed RETURNING type, data
  )
  SELECT data->>'replica' AS replica, type, data->>'reason' AS reason FROM written`;
