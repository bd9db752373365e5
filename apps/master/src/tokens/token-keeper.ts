import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { jittered, type Logger } from '#platform';
import { DataSource } from 'typeorm';
import type { MasterConfig } from '../config/config.js';
import { CONFIG, LOG } from '../config/tokens.js';
import { noContent } from '../http/request.js';
import { issuerMark, revokedTokenMark } from '../publishing/index.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import { CLOCK_SKEW_SECONDS } from './keys/choose-key.js';
import { lockEnvironment, TokenKeys } from './keys/token-keys.js';
import { OwnIssuer } from './own-issuer.js';
import { SYSTEM } from './system-caller.js';

const EVERY_MS = 60_000;
/** Rows of one transaction, and so entries of a revision. */
const AT_A_TIME = 1_000;

/** $1: how old the newest key of an environment may become, in days. */
const DUE = `
  SELECT environment_id AS environment FROM token_key GROUP BY environment_id HAVING max(created_at) <= now() - $1 * interval '1 day'`;
const LEAVE = `
  DELETE FROM token_key WHERE kid IN (SELECT kid FROM token_key WHERE leaves_at <= now() ORDER BY kid FOR UPDATE SKIP LOCKED)
  RETURNING kid, environment_id AS environment`;
/** A gateway whose clock is behind takes a token a little longer. */
const FORGET = `
  DELETE FROM revoked_token WHERE (environment_id, chain_id) IN (
    SELECT environment_id, chain_id FROM revoked_token WHERE expires_at <= now() - ${CLOCK_SKEW_SECONDS} * interval '1 second'
    ORDER BY expires_at LIMIT ${AT_A_TIME} FOR UPDATE SKIP LOCKED
  ) RETURNING environment_id AS environment, chain_id AS key`;
const ANY = `
  SELECT EXISTS (SELECT FROM token_key WHERE leaves_at <= now()) AS keys,
    EXISTS (SELECT FROM revoked_token WHERE expires_at <= now() - ${CLOCK_SKEW_SECONDS} * interval '1 second') AS tokens`;

/** What happens to keys and revoked tokens by time alone. Every master does it; what one has taken, others skip. */
@Injectable()
export class TokenKeeper implements OnApplicationBootstrap, OnModuleDestroy {
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  /** what went wrong the last time: said once */
  private noted = '';

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(CONFIG) private readonly config: MasterConfig,
    @Inject(LOG) private readonly log: Logger,
    private readonly writes: Writes,
    private readonly keys: TokenKeys,
    private readonly issuer: OwnIssuer,
  ) {}

  onApplicationBootstrap(): void {
    this.plan();
  }

  onModuleDestroy(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private plan(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => void this.tick(), jittered(EVERY_MS, 0.2, Math.random)).unref();
  }

  private async tick(): Promise<void> {
    try {
      await this.sweep();
      this.noted = '';
    } catch (error) {
      const cause = (error as Error).message;
      if (cause !== this.noted)
        this.log.warn({ cause }, 'keys of tokens could not be looked after; it is tried again every minute');
      this.noted = cause;
    }
    this.plan();
  }

  /** One look at all that is due. */
  async sweep(): Promise<void> {
    const due: { environment: string }[] = await this.source.query(DUE, [this.config.HELIO_TOKEN_KEY_DAYS]);
    for (const { environment } of due) await this.write((tx) => this.rotate(tx, environment));
    const [any]: { keys: boolean; tokens: boolean }[] = await this.source.query(ANY);
    if (any?.keys) await this.write((tx) => this.removeKeys(tx));
    for (let left = any?.tokens ?? false; left && !this.stopped; )
      await this.write(async (tx) => {
        left = await forgetTokens(tx);
      });
  }

  private async write(work: (tx: WriteTx) => Promise<void>): Promise<void> {
    await this.writes.commit(SYSTEM, async (tx) => {
      await work(tx);
      return noContent();
    });
  }

  /** Another master may have been faster. */
  private async rotate(tx: WriteTx, environment: string): Promise<void> {
    await lockEnvironment(tx, environment);
    const due: { environment: string }[] = await tx.manager.query(DUE, [this.config.HELIO_TOKEN_KEY_DAYS]);
    if (due.some((one) => one.environment === environment)) await this.keys.announce(tx, environment);
  }

  private async removeKeys(tx: WriteTx): Promise<void> {
    const [gone]: [{ kid: string; environment: string }[], number] = await tx.manager.query(LEAVE);
    const mark = issuerMark(await this.issuer.name(tx.manager, true));
    for (const { kid, environment } of gone) {
      tx.mark([environment], mark);
      tx.audit({ action: 'token-key.leave', target: `token-key/${kid}`, before: { environment } });
    }
  }
}

/** @returns whether there may be more */
async function forgetTokens(tx: WriteTx): Promise<boolean> {
  const [gone]: [{ environment: string; key: Buffer }[], number] = await tx.manager.query(FORGET);
  for (const { environment, key } of gone) tx.mark([environment], revokedTokenMark(key));
  return gone.length === AT_A_TIME;
}
