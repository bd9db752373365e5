import { randomUUID } from 'node:crypto';
import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { Logger } from '#platform';
import { LOG } from '../config/tokens.js';
import { type Caller, ok } from '../http/request.js';
import { keyMark } from '../publishing/index.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';

const EVERY_MS = 10 * 60_000;
/** So long callers are told that a key is revoked, or has expired, before nobody knows it any more. */
export const REMEMBERED_DAYS = 7;
/** One transaction, and about as many entries of one revision. */
const BATCH = 1000;
/** One sweep; the rest has the next one. */
const MOST_BATCHES = 50;

/**
 * Takes keys off their chains that nobody can use any more, for replicas keep all of a chain. Their rows stay. Several masters may
 * sweep: each takes what no other has locked.
 */
@Injectable()
export class KeySweep implements OnModuleInit, OnModuleDestroy {
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> | undefined;
  private stopped = false;

  constructor(
    private readonly writes: Writes,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  onModuleInit(): void {
    this.timer = setInterval(() => {
      this.sweeping ??= this.sweep().finally(() => {
        this.sweeping = undefined;
      });
    }, EVERY_MS).unref();
  }

  async onModuleDestroy(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await this.sweeping;
  }

  async sweep(): Promise<void> {
    try {
      for (let batch = 0; batch < MOST_BATCHES && !this.stopped; batch++) {
        const { answer, carriers } = await this.writes.commit(system(), async (tx) => ok(await forgetSome(tx)));
        if (answer.body === 0) return;
        // who runs ahead of the publisher leaves a heap of markers, behind which everybody's writes wait
        const published = await carriers();
        if (published.some(({ revision }) => revision === null) || answer.body !== BATCH) return;
      }
    } catch (error) {
      this.log.warn({ cause: String(error) }, 'keys that have ended could not be forgotten; it is tried again');
    }
  }
}

const system = (): Caller => ({
  actor: 'system',
  role: 'admin',
  requestId: `key sweep ${randomUUID()}`,
  idempotency: null,
  ifMatch: null,
});

const FORGET = `
  WITH ended AS (
    SELECT id FROM api_key WHERE forgotten_at IS NULL AND (revoked_at IS NOT NULL OR expires_at IS NOT NULL)
      AND least(revoked_at, expires_at) < now() - interval '${REMEMBERED_DAYS} days'
    ORDER BY least(revoked_at, expires_at) LIMIT ${BATCH} FOR UPDATE SKIP LOCKED
  ), forgotten AS (
    UPDATE api_key k SET forgotten_at = now() FROM ended WHERE k.id = ended.id RETURNING k.id, k.environment_id, k.chain_id
  )
  SELECT * FROM forgotten`;

/** @returns how many */
async function forgetSome(tx: WriteTx): Promise<number> {
  const rows: { id: string; environment_id: string; chain_id: Buffer }[] = await tx.manager.query(FORGET);
  for (const { environment_id: environment, chain_id: chainId } of rows) tx.mark([environment], keyMark(chainId));
  if (rows.length > 0)
    tx.audit({ action: 'key.forget', target: 'key/batch', after: { ids: rows.map(({ id }) => id) } });
  return rows.length;
}
