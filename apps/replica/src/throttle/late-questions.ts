import {
  availableTokens,
  type Bucket,
  burstOf,
  type Clock,
  type Grant,
  quotaWindow,
  readQuotaState,
  readRateState,
  type RedisCounterStore,
  settleQuota,
  settleRate,
  type SharedGrant,
  TICK_MICROS,
  UNITS_PER_TOKEN,
  withSpent,
} from '#throttle';
import { partOf, type Share } from './fair-share.js';
import type { KnownBucket } from './known-bucket.js';
import type { NodeCounters } from './node-counters.js';
import type { SharedBuckets } from './shared-buckets.js';

/** Of a large limit that is nearly used up: more than a worker admits while a question is out. */
const PLENTY = 1000;
/** Whoever is refused because nobody could count asks again after this. */
const AGAIN_MS = 50;

/** A question that Redis did not answer in time. */
interface Asked {
  store: RedisCounterStore;
  known: KnownBucket;
  /** tokens owed from before, that are charged with it */
  spent: number;
  /** in which it was asked */
  era: number;
}

interface LateQuestion extends Asked {
  /** tokens granted here in the place of the answer, to be set off against it */
  admitted: number;
}

/**
 * Answers in the place of a Redis that is late. Others may take from the bucket at this moment, so only of one that is, as far as
 * this node knows, at least half full it grants its share; all else is refused, and soon asked for again. One that it was never
 * told of, or long ago, is as full as time has made it: else whoever calls now and then would be refused each time that Redis is
 * a little late. When the answer comes, what was granted is set off against it: the rest goes back, and what is missing is charged.
 */
export class LateQuestions {
  private readonly questions = new Set<LateQuestion>();

  constructor(
    private readonly clock: Clock,
    private readonly own: NodeCounters,
    private readonly buckets: SharedBuckets,
    private readonly share: () => Share,
    private readonly failed: (error: Error) => void,
  ) {}

  open(asked: Asked, question: Promise<SharedGrant>): LateQuestion {
    const late = { ...asked, admitted: 0 };
    this.questions.add(late);
    void this.close(late, question);
    return late;
  }

  /** @param need requests that wait */
  answer(late: LateQuestion, need: number): Grant {
    const { known } = late;
    const { bucket, uncounted } = known;
    const share = this.share();
    const [left, most] = leftOf(known, this.clock);
    const isGood = left >= Math.min(most / 2, PLENTY * share.all);
    const granted = isGood ? Math.max(0, Math.min(need, partOf(left, bucket.name, share) - uncounted)) : 0;
    late.admitted = granted;
    known.uncounted += granted;
    const remaining = Math.max(0, left - known.uncounted);
    const resetMs = fullInMs(bucket, most - remaining, this.clock.wallMs());
    return { granted, lent: 0, remaining, resetMs, retryMs: AGAIN_MS, lease: 0, uncounted: true };
  }

  /** This node counts by itself from now on, what it granted here too. What Redis grants yet goes back. */
  leave(late: LateQuestion): void {
    const { known, admitted, spent } = late;
    this.questions.delete(late);
    // It may have been charged, or not: by the worse of both it is, once.
    if (known.seen === '') known.spent += spent;
    else known.seen = withSpent(known.seen, spent);
    known.uncounted -= admitted;
    if (admitted > 0) this.own.take(known.bucket, { need: admitted, ahead: 0, held: 0, lease: 0 });
  }

  leaveAll(): void {
    for (const late of this.questions) this.leave(late);
  }

  private async close(late: LateQuestion, question: Promise<SharedGrant>): Promise<void> {
    const { store, known, era } = late;
    try {
      const answer = await question;
      const { granted, lent, lease } = answer;
      if (!this.questions.delete(late)) return this.buckets.give(store, known.bucket, granted + lent, lease);
      this.buckets.learn(known, answer, era);
      known.uncounted -= late.admitted;
      const rest = granted + lent - late.admitted;
      if (rest < 0) await this.charge({ ...late, spent: 0, admitted: -rest });
      // also where no token is left over: the lease has ended
      else if (rest > 0 || lent > 0) this.buckets.give(store, known.bucket, rest, lease);
    } catch (error) {
      this.failed(error as Error);
    }
  }

  private async charge(late: LateQuestion): Promise<void> {
    const { store, known, era, admitted } = late;
    this.questions.add(late);
    known.uncounted += admitted;
    const answer = await this.buckets.charge(store, known, admitted, readQuotaState(known.seen)?.start ?? 0);
    if (!this.questions.delete(late)) return;
    known.uncounted -= admitted;
    this.buckets.learn(known, answer, era);
  }
}

/** Tokens that are left by now, as far as it was told (never: all of them), and how many there are at the most. */
function leftOf({ bucket, seen }: KnownBucket, clock: Clock): [left: number, most: number] {
  if (bucket.kind === 'quota') {
    const { limit } = bucket.limit;
    const state = readQuotaState(seen);
    return [state ? Math.max(0, limit - settleQuota(state, bucket.limit, clock.wallMs()).used) : limit, limit];
  }
  const last = readRateState(seen);
  if (!last) return [burstOf(bucket.limit), burstOf(bucket.limit)];
  const settled = settleRate(last.state, last.limit, Math.floor(clock.monotonicMs() * 1000));
  return [availableTokens(settled, bucket.limit), burstOf(bucket.limit)];
}

/** @param missing tokens */
function fullInMs(bucket: Bucket, missing: number, wallMs: number): number {
  if (bucket.kind === 'quota') return quotaWindow(bucket.limit, wallMs).end - wallMs;
  const { limit, per } = bucket.limit;
  return Math.ceil((missing * UNITS_PER_TOKEN * TICK_MICROS[per]) / limit / 1000);
}
