import type { Logger } from '#platform';
import { type CounterStore, LeaseBook, systemClock } from '#throttle';
import { CompiledState } from '../gateway/decide/compile/compiled-state.js';
import { decide } from '../gateway/decide/decide.js';
import type { Decision } from '../gateway/decide/decision.js';
import type { RequestHead } from '../gateway/decide/request-head.js';
import { UNLIMITED } from '../gateway/decide/take-tokens.js';
import type { StateReader } from '../state/state-snapshot.js';
import { DoorDecisions } from '../telemetry/door-decisions.js';

const SWEEP_MS = 250;

/** Decides about requests that do not pass through this gateway, by the same state, rules and counters. */
export class Ask {
  readonly decisions = new DoorDecisions();
  /** compiled when somebody asks for the first time: most replicas are never asked */
  private state: CompiledState | null = null;
  private headIssuedAt: number | null = null;
  private readonly leases: LeaseBook;
  private readonly sweeper: NodeJS.Timeout;

  constructor(
    private readonly region: string,
    private readonly source: Pick<StateReader, 'repairs' | 'revision' | 'snapshot'>,
    counters: CounterStore,
    private readonly log: Logger,
  ) {
    this.leases = new LeaseBook(counters, systemClock.monotonicMs);
    this.sweeper = setInterval(() => this.leases.sweep(), SWEEP_MS).unref();
  }

  /** A revision was applied: an old one must not stay pinned, because its pages could not be used again. */
  announce(): void {
    if (this.state === null) return;
    try {
      this.load(this.state);
    } catch (error) {
      this.log.error(
        { err: error },
        'a revision could not be loaded for /auth and /validate; it is tried again when somebody asks',
      );
    }
  }

  /** @param headIssuedAt milliseconds since 1970; null: no head was seen yet */
  setFreshness(headIssuedAt: number | null): void {
    this.headIssuedAt = headIssuedAt;
    if (this.state) this.state.headIssuedAt = headIssuedAt;
  }

  /** What the last decision went by, like `prod@184`. */
  get revision(): string {
    return this.state === null ? '' : `${this.state.environment}@${this.state.revision}`;
  }

  /**
   * By the newest revision. On `wait`, have it fetch, and ask again.
   *
   * @param spend whether it counts against the limits of the subscription
   */
  about(head: RequestHead, spend: boolean): Decision {
    return decide(head, this.current(), spend ? this.leases : UNLIMITED, Date.now());
  }

  close(): void {
    clearInterval(this.sweeper);
    this.leases.close();
    this.state?.close();
    this.state = null;
  }

  private current(): CompiledState {
    if (this.state === null) {
      this.state = new CompiledState(this.region);
      this.state.headIssuedAt = this.headIssuedAt;
    }
    this.load(this.state);
    return this.state;
  }

  private load(state: CompiledState): void {
    const { source } = this;
    if (state.revision !== source.revision() || state.repairs !== source.repairs()) state.refresh(source.snapshot());
  }
}
