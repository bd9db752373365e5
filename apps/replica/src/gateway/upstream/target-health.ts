import type { BreakerRules, PassiveRules } from '../decide/compile/compile-upstream.js';
import { FailureRatio } from './failure-ratio.js';
import { Suspension } from './suspension.js';

/** After a connection that could not be made others are preferred so long. */
const AVOID_MS = 1000;
/** A target that fails now and then is told of so often. */
const NEWS_MS = 60_000;

/** How an attempt ended for its target. `dropped`: nothing is known, as when the client went away. */
export type AttemptEnd = 'answered' | 'failed' | 'unreachable' | 'dropped';

/** Of which suspensions an attempt is the trial: a sum of these. */
const OF_EJECTION = 1;
const OF_BREAKER = 2;

/**
 * What requests of one API have told of one of its targets.
 *
 * Failures in a row eject it: a guess, so that it only makes others preferred. A share of failures opens its breaker: a
 * rule of the definition, so that nothing goes there.
 */
export class TargetHealth {
  /** since the last good answer */
  failuresInRow = 0;
  /** since they were last taken */
  failures = 0;
  private readonly ejection: Suspension;
  private readonly opening: Suspension;
  private readonly ratio = new FailureRatio();
  private avoidUntil = 0;
  private toldAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly passive: PassiveRules,
    private readonly breaker: BreakerRules | null,
  ) {
    this.ejection = new Suspension(passive.ejectMs);
    this.opening = new Suspension(breaker?.openMs ?? 0);
  }

  /** Whether the failure that was just noted is to be told of: the first one after a good answer. */
  isNews(now: number): boolean {
    if (this.failuresInRow !== 1 || now - this.toldAt < NEWS_MS) return false;
    this.toldAt = now;
    return true;
  }

  takeFailures(): number {
    const { failures } = this;
    this.failures = 0;
    return failures;
  }

  get ejected(): boolean {
    return this.ejection.active;
  }

  get breakerOpen(): boolean {
    return this.opening.active;
  }

  breakerState(now: number): 'closed' | 'open' | 'half-open' {
    if (!this.opening.active) return 'closed';
    return this.opening.leftMs(now) > 0 ? 'open' : 'half-open';
  }

  /** 0: requests go there; else whether it is ejected and whether its breaker is open, as one number. */
  get suspensions(): number {
    return (this.ejection.active ? OF_EJECTION : 0) + (this.opening.active ? OF_BREAKER : 0);
  }

  /** Others are preferred. */
  avoided(now: number): boolean {
    return this.avoidUntil > now || this.ejection.blocks(now);
  }

  /** The breaker lets nothing through. */
  barred(now: number): boolean {
    return this.opening.blocks(now);
  }

  /** Milliseconds until the breaker lets a request through. */
  barredMs(now: number): number {
    return this.opening.leftMs(now);
  }

  /** An attempt begins. @returns what `finish` is told */
  start(now: number): number {
    return (this.ejection.admit(now) ? OF_EJECTION : 0) + (this.opening.admit(now) ? OF_BREAKER : 0);
  }

  finish(trials: number, end: AttemptEnd, now: number): void {
    if (end === 'dropped') {
      if ((trials & OF_EJECTION) !== 0) this.ejection.abandon();
      if ((trials & OF_BREAKER) !== 0) this.opening.abandon();
      return;
    }
    if (end === 'answered') this.onGood(trials, now);
    else this.onBad(trials, now);
    if (end === 'unreachable') this.avoidUntil = now + AVOID_MS;
  }

  private onGood(trials: number, now: number): void {
    this.failuresInRow = 0;
    this.avoidUntil = 0;
    // also by one that went there since all others were ejected, too: it did find out
    if (this.ejection.active) this.ejection.end(now);
    if (this.breaker === null) return;
    if ((trials & OF_BREAKER) !== 0) {
      this.opening.end(now);
      this.ratio.clear();
    } else if (!this.opening.active) this.ratio.note(false, now);
  }

  private onBad(trials: number, now: number): void {
    this.failures += 1;
    this.failuresInRow += 1;
    const { passive, breaker, ejection, opening } = this;
    if ((trials & OF_EJECTION) !== 0) ejection.begin(now);
    else if (!ejection.active && passive.failures > 0 && this.failuresInRow >= passive.failures) ejection.begin(now);
    if (breaker === null) return;
    if ((trials & OF_BREAKER) !== 0) return opening.begin(now);
    // what was under way when it opened says nothing new
    if (opening.active) return;
    const { requests, percent } = this.ratio.note(true, now);
    if (requests >= breaker.minimumRequests && percent >= breaker.failurePercent) opening.begin(now);
  }
}
