import { randomUUID } from 'node:crypto';
import type { Logger } from '#platform';
import { type CounterStore, LeaseBook, systemClock } from '#throttle';
import { CompiledState } from '../gateway/decide/compile/compiled-state.js';
import { decide, UNLIMITED } from '../gateway/decide/decide.js';
import type { Forward, Respond } from '../gateway/decide/decision.js';
import { type RequestHead, requestIdOf } from '../gateway/decide/request-head.js';
import type { StateReader } from '../state/state-snapshot.js';

/** One request that somebody else serves and only asks about. */
export interface Question {
  method: string;
  /** path and query, as the caller sent them */
  target: string;
  /** every value of a field, name in lower case */
  values(name: string): readonly string[];
  /** null: nobody knows, and IP lists are not asked */
  remoteAddress: string | null;
}

export interface Answer {
  decision: Forward | Respond;
  requestId: string;
  /** `prod@184` */
  revision: string;
}

const SWEEP_MS = 250;
const NOBODY: readonly string[] = [];

/** Decides about requests that do not pass through this gateway, by the same state, rules and counters. */
export class Ask {
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

  /** @param spend whether it counts against the limits of the subscription */
  async about(question: Question, spend: boolean): Promise<Answer> {
    const requestId = requestIdOf(question.values('x-request-id'), randomUUID);
    const head: RequestHead = { ...question, values: (name) => question.values(name), requestId };
    for (;;) {
      const state = this.current();
      const decision = decide(head, state, spend ? this.leases : UNLIMITED, Date.now());
      if (decision.kind !== 'wait') return { decision, requestId, revision: `${state.environment}@${state.revision}` };
      await this.leases.fetch(decision.subscription, decision.limits);
    }
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
    if (state.revision !== source.revision() || state.repairs !== source.repairs())
      state.refresh(this.source.snapshot());
  }
}

/** A question that carries a credential and nothing else. */
export function questionOf(method: string, target: string, credential: string | undefined): Question {
  // Bearer is a place that every API takes a credential from; on the wire it would be bytes, not characters
  const authorization =
    credential === undefined ? NOBODY : [`Bearer ${Buffer.from(credential, 'utf8').toString('latin1')}`];
  return { method, target, remoteAddress: null, values: (name) => (name === 'authorization' ? authorization : NOBODY) };
}
