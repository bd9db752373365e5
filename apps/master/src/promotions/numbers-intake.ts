import { Inject, Injectable } from '@nestjs/common';
import { Interval } from '@nestjs/schedule';
import type { ReleaseNumbersReport } from '#model';
import type { Logger } from '#platform';
import { LOG } from '../config/tokens.js';
import type { ConnectedReplica } from '../fleet/connected-replica.js';
import { SampledNumbers } from './release-numbers.js';

const FORGET_MS = 5 * 60_000;

/** Takes what replicas have counted to the database, and forgets what is too old to be compared with. */
@Injectable()
export class NumbersIntake {
  /** replicas whose report is being written */
  private readonly busy = new Set<string>();
  /** what came meanwhile, or could not be written: a release that nobody calls any more is not told of again */
  private readonly left = new Map<string, ReleaseNumbersReport>();

  constructor(
    @Inject(SampledNumbers) private readonly numbers: SampledNumbers,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  /** Of a replica whose last report is not written yet it is kept, and written after that. Never rejects. */
  async take(
    { id, region, environment }: Pick<ConnectedReplica, 'id' | 'region' | 'environment'>,
    report: ReleaseNumbersReport,
  ): Promise<void> {
    this.left.set(id, together(this.left.get(id), report));
    if (this.busy.has(id)) return;
    this.busy.add(id);
    let next: ReleaseNumbersReport | undefined;
    try {
      while ((next = this.left.get(id))) {
        this.left.delete(id);
        await this.numbers.note({ replica: id, region, environment, boot: next.boot }, next.counts);
      }
    } catch (error) {
      this.log.debug(
        { replica: id, cause: (error as Error).message },
        'what a replica has counted cannot be written yet',
      );
      const newer = this.left.get(id);
      if (next) this.left.set(id, newer ? together(next, newer) : next);
    } finally {
      this.busy.delete(id);
    }
  }

  @Interval('numbers-forget', FORGET_MS)
  async forget(): Promise<void> {
    try {
      await this.numbers.forget();
    } catch (error) {
      this.log.debug({ cause: (error as Error).message }, 'old numbers cannot be forgotten; it is tried again');
    }
  }
}

/** Counts are sums since a process began: of each release the newer one says it all. */
function together(older: ReleaseNumbersReport | undefined, newer: ReleaseNumbersReport): ReleaseNumbersReport {
  if (older?.boot !== newer.boot) return newer;
  const counts = new Map([...older.counts, ...newer.counts].map((count) => [count.release, count]));
  return { boot: newer.boot, counts: [...counts.values()] };
}
