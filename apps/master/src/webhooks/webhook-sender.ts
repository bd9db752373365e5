import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import { InjectDataSource } from '@nestjs/typeorm';
import type { Logger } from '#platform';
import { DataSource } from 'typeorm';
import type { MasterConfig } from '../config/config.js';
import { CONFIG, LOG } from '../config/tokens.js';
import { EventOrder } from '../events/event-order.js';
import { eventViewOf } from '../events/event-row.js';
import { noContent } from '../http/request.js';
import { Reachable } from '../outbound/reachable.js';
import { Writes } from '../writes/writes.js';
import { type Claimed, DeliveryQueue, type Due, LEASE_SECONDS } from './delivery-queue.js';
import { post, type Posted } from './post.js';
import { nextAttemptMs, pauseMs } from './retries.js';
import { auditOfWebhook, oneWebhook } from './webhook-rows.js';
import { openSecret, signedHeaders } from './webhook-secret.js';

/** For what became due by time alone, and for events that another master has put in order. */
const LOOK_MS = 1_000;
/** Endpoints that one process sends to at a time: those that do not answer hold one up for ten seconds. */
const ENDPOINTS_AT_ONCE = 16;
/** Subjects of one endpoint at a time. */
const SUBJECTS_AT_ONCE = 8;
/** An attempt that would begin later might not end within the lease. */
const BEGIN_MS = (LEASE_SECONDS - 12) * 1000;

type Result = 'delivered' | 'failed' | 'dead';

/**
 * Sends events to webhooks. Each endpoint is a lane of its own: one master at a time claims it, sends to it what is due, a few
 * subjects at once, and gives it back.
 */
@Injectable()
export class WebhookSender implements OnApplicationBootstrap, OnModuleDestroy {
  /** attempts of this process by what came of them */
  readonly results = new Map<Result, number>([
    ['delivered', 0],
    ['failed', 0],
    ['dead', 0],
  ]);
  readonly queue: DeliveryQueue;
  private readonly reachable: Reachable;
  private readonly stopping = new AbortController();
  private readonly lanes = new Set<Promise<void>>();
  private filling: Promise<void> | undefined;
  private again = false;

  constructor(
    @InjectDataSource() source: DataSource,
    @Inject(CONFIG) private readonly config: MasterConfig,
    @Inject(LOG) private readonly log: Logger,
    private readonly order: EventOrder,
    private readonly writes: Writes,
  ) {
    this.queue = new DeliveryQueue(source, config.signer);
    this.reachable = new Reachable(config.HELIO_WEBHOOK_NETWORKS, 'HELIO_WEBHOOK_NETWORKS');
  }

  onApplicationBootstrap(): void {
    this.order.onDeliveries(() => this.ring());
  }

  /** Gives up what is under way: it is sent again by whoever is next. */
  async onModuleDestroy(): Promise<void> {
    this.stopping.abort();
    await this.filling;
    await Promise.all(this.lanes);
  }

  /** There may be something to send. */
  @Interval('webhook-sender', LOOK_MS)
  ring(): void {
    this.again = true;
    if (!this.stopping.signal.aborted) this.filling ??= this.fill().finally(() => (this.filling = undefined));
  }

  private async fill(): Promise<void> {
    try {
      while (this.again && !this.stopping.signal.aborted) {
        this.again = false;
        while (this.lanes.size < ENDPOINTS_AT_ONCE && !this.stopping.signal.aborted) {
          const claimed = await this.queue.claim();
          if (!claimed) break;
          const lane: Promise<void> = this.serve(claimed).finally(() => {
            this.lanes.delete(lane);
            this.ring();
          });
          this.lanes.add(lane);
        }
      }
    } catch (error) {
      this.log.debug({ cause: (error as Error).message }, 'webhooks cannot be looked after; it is tried again');
    }
  }

  /** Never rejects: whatever is not written is sent again. */
  private async serve(claimed: Claimed): Promise<void> {
    const begun = performance.now();
    const { id, failures } = claimed;
    try {
      const due = await this.queue.due(id, failures > 0 ? 1 : SUBJECTS_AT_ONCE);
      const posted = await Promise.all(due.map((one) => this.attempt(claimed, one, begun)));
      const made = posted.filter((one) => one !== null);
      const failed = made.filter(({ error }) => error !== null);
      const now = made.length === 0 ? failures : failed.length < made.length ? 0 : failures + 1;
      const asked = failed.map(({ retryAfter }) => retryAfter ?? 0);
      const pause =
        failed.length === 0 || (now === 0 && Math.max(...asked) === 0)
          ? 0
          : pauseMs(Math.max(1, now), Math.max(...asked), Math.random);
      if (await this.queue.release(claimed, now, pause)) this.note(claimed, now, failed[0]);
      if (made.some(({ status }) => status === 410)) await this.disable(id);
    } catch (error) {
      this.log.debug(
        { webhook: id, cause: (error as Error).message },
        'what came of a webhook cannot be written; it is sent again',
      );
    }
  }

  /** @returns null: it was not made, or given up before its end */
  private async attempt({ id, url, secrets }: Claimed, due: Due, begun: number): Promise<Posted | null> {
    const { signal } = this.stopping;
    const keys = secrets.map((secret) => openSecret(secret, this.config.signer)).filter((key) => key !== null);
    if (signal.aborted || performance.now() - begun > BEGIN_MS) return null;
    const body = JSON.stringify(eventViewOf(due));
    const headers = signedHeaders(due.id, Math.floor(Date.now() / 1000), body, keys);
    const posted = await post(url, headers, body, this.reachable, signal);
    if (signal.aborted && posted.error !== null) return null;
    if (posted.error === null) {
      await this.queue.delivered(due.delivery, posted);
      this.count('delivered');
      return posted;
    }
    const again = nextAttemptMs(due.attempts + 1, Math.random);
    const firstDead = await this.queue.failed(due.delivery, posted, again);
    this.count(again === null ? 'dead' : 'failed');
    if (firstDead)
      this.log.warn(
        { webhook: id, event: due.id, type: due.type, cause: posted.error },
        'an event for a webhook was given up: see its deliveries that are dead',
      );
    return posted;
  }

  private count(result: Result): void {
    this.results.set(result, (this.results.get(result) ?? 0) + 1);
  }

  /** Once for each change. */
  private note({ id, url, failures, failingSince }: Claimed, now: number, failed: Posted | undefined): void {
    const { host } = new URL(url);
    if (failures === 0 && now > 0)
      this.log.warn(
        { webhook: id, host, cause: failed?.error },
        'a webhook does not take events; they wait, and are tried again',
      );
    else if (failures > 0 && now === 0)
      this.log.info({ webhook: id, host, since: failingSince }, 'a webhook takes events again');
  }

  /** 410: whoever is there wants no more. */
  private async disable(id: string): Promise<void> {
    const caller = {
      actor: 'system',
      role: 'system',
      requestId: `webhook ${id}`,
      idempotency: null,
      ifMatch: null,
    } as const;
    await this.writes.commit(caller, async (tx) => {
      const before = await oneWebhook(tx.manager, id, true);
      if (!before.enabled) return noContent();
      await tx.manager.query(
        'UPDATE webhook SET enabled = false, disabled_reason = $2, version = version + 1 WHERE id = $1',
        [id, 'its endpoint answered 410 Gone'],
      );
      const after = await oneWebhook(tx.manager, id);
      tx.audit({
        action: 'webhook.disable',
        target: `webhook/${id}`,
        before: auditOfWebhook(before),
        after: auditOfWebhook(after),
      });
      return noContent();
    });
    this.log.warn({ webhook: id }, 'a webhook was disabled: its endpoint answered 410 Gone');
  }
}
