import { randomUUID } from 'node:crypto';
import type { UsageAnswer, UsageReport } from '#model';
import { type Logger, sleep } from '#platform';
import { UsageDiskPort } from './usage-disk-port.js';
import { UsageLedger } from './usage-ledger.js';
import type { UsageTally, UsageTaken } from './usage-tally.js';
import { reportOf } from './use.js';

/** Between two writes, and between two rounds of telling the master; ten times what one takes, where that is longer. */
const STORE_MS = 1000;
const TELL_MS = 5000;
const TIDY_MS = 30_000;
const FORGET_MS = 3_600_000;

export type SendUsage = (report: UsageReport, signal: AbortSignal) => Promise<UsageAnswer>;

/** The usage of this node, in process 1: what is counted is kept on the disk, and told to a master until it has taken it. */
export class UsageKeeper {
  /** of this process */
  private readonly tallies: UsageTally[] = [];
  private readonly disk: UsageDiskPort;
  private readonly ledger: UsageLedger;
  private timer: NodeJS.Timeout | null = null;
  private tidiedAt = 0;
  private forgotAt = -FORGET_MS;
  private storing: Promise<void> = Promise.resolve();
  private refused = '';

  constructor(
    directory: string,
    private readonly log: Logger,
  ) {
    this.disk = new UsageDiskPort(directory);
    this.disk.onSetAside = (movedTo) =>
      log.warn({ movedTo }, 'what was kept of usage is no database any more, and was put away');
    this.ledger = new UsageLedger({ disk: this.disk, now: Date.now, newSeries: randomUUID, log });
  }

  start(): void {
    this.storeAfter(STORE_MS);
  }

  /** Takes what is counted there, before each write. */
  collect(tally: UsageTally): void {
    this.tallies.push(tally);
  }

  add(taken: UsageTaken): void {
    this.ledger.add(taken);
  }

  /** Until the signal fires. A master that does not answer, or refuses, costs nothing but room on the disk. */
  async tell(send: SendUsage, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const began = performance.now();
      try {
        for await (const { uses, settle } of this.ledger.batches()) {
          let taken = false;
          try {
            const { refused } = await send(reportOf(uses), signal);
            taken = refused === null;
            this.note(refused ?? '');
          } finally {
            settle(taken);
          }
        }
      } catch (error) {
        this.log.debug({ cause: (error as Error).message }, 'usage is not told; it is tried again');
      }
      await sleep(Math.max(TELL_MS, 10 * (performance.now() - began)), signal);
    }
  }

  /** Writes what was added until now. */
  async stop(): Promise<void> {
    if (this.timer) clearTimeout(this.timer);
    await this.storing;
    this.timer = null;
    await this.store();
    await this.disk.close();
  }

  private storeAfter(ms: number): void {
    this.timer = setTimeout(() => {
      const began = performance.now();
      this.storing = this.store().then(() => {
        if (this.timer) this.storeAfter(Math.max(STORE_MS, 10 * (performance.now() - began)));
      });
    }, ms).unref();
  }

  private async store(): Promise<void> {
    for (const tally of this.tallies) this.ledger.add(tally.take());
    await this.ledger.store();
    const now = performance.now();
    if (now - this.tidiedAt >= TIDY_MS) {
      this.tidiedAt = now;
      this.ledger.tidy();
    }
    if (now - this.forgotAt < FORGET_MS) return;
    this.forgotAt = now;
    await this.ledger.forget().catch((error: unknown) => {
      this.log.warn(
        { cause: (error as Error).message },
        'old usage cannot be taken off the disk; it is tried again in an hour',
      );
    });
  }

  /** Said once. */
  private note(refused: string): void {
    if (refused === this.refused) return;
    this.refused = refused;
    if (refused !== '')
      this.log.warn({ refused }, 'the master does not take the usage of some hours; look at the clocks of both');
  }
}
