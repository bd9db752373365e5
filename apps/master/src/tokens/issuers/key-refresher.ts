import { isDeepStrictEqual } from 'node:util';
import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { jittered, type Logger } from '#platform';
import { DataSource, type EntityManager } from 'typeorm';
import type { MasterConfig } from '../../config/config.js';
import { CONFIG, LOG } from '../../config/tokens.js';
import { noContent } from '../../http/request.js';
import { issuerMark } from '../../publishing/index.js';
import type { WriteTx } from '../../writes/write-tx.js';
import { Writes } from '../../writes/writes.js';
import { SYSTEM } from '../system-caller.js';
import { type FetchedKeys, fetchKeys, freshForMs, retryInMs } from './fetch-keys.js';
import { Unavailable } from '../../outbound/guarded-agent.js';
import { ISSUER_COLUMNS, type IssuerRow } from './issuer-rows.js';
import { Reachable } from '../../outbound/reachable.js';

const EVERY_MS = 10_000;
/** Issuers that do not answer hold up as many others for ten seconds. */
const AT_ONCE = 4;
/** A master that died while it fetched is followed by another after this; longer than a fetch takes. */
const CLAIM_S = 60;
const MOST_ERROR = 1000;

const CLAIM = `
  UPDATE token_issuer t SET next_fetch_at = now() + ${CLAIM_S} * interval '1 second'
  WHERE id = (SELECT id FROM token_issuer WHERE next_fetch_at <= now() ORDER BY next_fetch_at LIMIT 1 FOR UPDATE SKIP LOCKED)
  RETURNING ${ISSUER_COLUMNS}`;
/** Of the row as it was when they were fetched: whoever changed where they come from has fetched them anew. */
const KEEP = `
  UPDATE token_issuer SET keys = coalesce($3, keys), refused = coalesce($4, refused), etag = $5, fetched_from = $6, fetched_at = now(),
    next_fetch_at = now() + $7 * interval '1 ms', failures = 0, last_error = NULL
  WHERE id = $1 AND version = $2 RETURNING id`;
const FAILED = `
  UPDATE token_issuer SET failures = failures + 1, last_error = $3, next_fetch_at = now() + $4 * interval '1 ms' WHERE id = $1 AND version = $2`;

/** Fetches the keys of outside issuers again when it is time: each by one master, which claims it for a minute. */
@Injectable()
export class KeyRefresher implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly reachable: Reachable;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(CONFIG) config: MasterConfig,
    @Inject(LOG) private readonly log: Logger,
    private readonly writes: Writes,
  ) {
    this.reachable = new Reachable(config.HELIO_ISSUER_NETWORKS, 'HELIO_ISSUER_NETWORKS');
  }

  onApplicationBootstrap(): void {
    this.plan();
  }

  onModuleDestroy(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /** All that are due now, a few at a time. */
  async sweep(): Promise<void> {
    const work = async (): Promise<void> => {
      while (!this.stopped) {
        const [[row]]: [IssuerRow[], number] = await this.source.query(CLAIM);
        if (!row) return;
        await this.refresh(row);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  /** Writes what was fetched: keys that have changed go onto the chain. */
  async apply(tx: WriteTx, row: IssuerRow, fetched: FetchedKeys): Promise<void> {
    if (!(await this.keep(tx.manager, row, fetched))) return;
    const { found } = fetched;
    if (!found || isDeepStrictEqual(found.keys, row.keys)) return;
    const names = (keys: IssuerRow['keys']): string[] => keys.map(({ kid, alg }) => `${kid ?? ''} ${alg}`.trim());
    tx.mark([row.environment], issuerMark(row.issuer));
    tx.audit({
      action: 'issuer.keys',
      target: `issuer/${row.id}`,
      before: { keys: names(row.keys) },
      after: { keys: names(found.keys) },
    });
  }

  /** @returns false: the row is another one by now */
  async keep(
    manager: EntityManager,
    row: IssuerRow,
    { found, etag, fetchedFrom, maxAge }: FetchedKeys,
  ): Promise<boolean> {
    const [, count]: [unknown, number] = await manager.query(KEEP, [
      row.id,
      row.version,
      found && JSON.stringify(found.keys),
      found && JSON.stringify(found.refused),
      etag,
      fetchedFrom,
      freshForMs(maxAge, Math.random),
    ]);
    return count > 0;
  }

  /** The keys that it had stay in force. */
  async failed(row: IssuerRow, problem: string): Promise<void> {
    const failures = row.failures + 1;
    await this.source.query(FAILED, [
      row.id,
      row.version,
      problem.slice(0, MOST_ERROR),
      retryInMs(failures, Math.random),
    ]);
    if (row.failures > 0) return; // said once
    this.log.warn(
      { environment: row.environment, issuer: row.issuer, cause: problem, since: row.fetchedAt },
      'the keys of an issuer cannot be fetched; those that it had stay in force, and it is tried again',
    );
  }

  private async refresh(row: IssuerRow): Promise<void> {
    let fetched: FetchedKeys;
    try {
      fetched = await fetchKeys(row, this.reachable);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      return this.failed(row, error.message);
    }
    await this.writes.commit(SYSTEM, async (tx) => {
      await this.apply(tx, row, fetched);
      return noContent();
    });
    const { environment, issuer, failures } = row;
    if (failures > 0) this.log.info({ environment, issuer, failures }, 'the keys of an issuer can be fetched again');
  }

  private plan(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => void this.tick(), jittered(EVERY_MS, 0.2, Math.random)).unref();
  }

  private async tick(): Promise<void> {
    try {
      await this.sweep();
    } catch (error) {
      this.log.warn(
        { cause: (error as Error).message },
        'keys of issuers could not be looked after; it is tried again',
      );
    }
    this.plan();
  }
}
