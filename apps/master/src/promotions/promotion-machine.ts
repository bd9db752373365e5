/*
 * Everything that a promotion can be, and what makes it something else. Pure: who asks, what is written and when it is
 * looked again is decided elsewhere; this alone decides what follows from what.
 *
 *   requested ─▶ approved ─▶ rolling(1) ─▶ soaking(1) ─▶ rolling(2) ─▶ ... ─▶ completed
 *       │            │           │  ▲ resume   │                                  │
 *       ▼            ▼           ▼  │          ▼                                  │
 *    rejected ◀──────┘         paused          └─▶ rolling-back ─▶ rolled-back ◀──┘ rollback, the same way
 */

export const PROMOTION_STATES = [
  'requested',
  'approved',
  'rolling',
  'soaking',
  'paused',
  'rolling-back',
  'rolled-back',
  'completed',
  'rejected',
] as const;
export type PromotionState = (typeof PROMOTION_STATES)[number];

export interface PromotionPhase {
  state: PromotionState;
  /** the wave that has begun last, from 1; 0: none has */
  wave: number;
}

/** What can happen to a promotion. People ask for the first row, and the work itself finds out about the second. */
export const PROMOTION_INPUTS = [
  ...(['approve', 'reject', 'pause', 'resume', 'abort', 'rollback', 'skip'] as const),
  ...(['start', 'acknowledged', 'passed', 'failed', 'restored'] as const),
] as const;
export type PromotionInput = (typeof PROMOTION_INPUTS)[number];

export interface PromotionPlan {
  /** how many there are, at least 1 */
  waves: number;
  /** whether it has the approvals that it needs, the one that is being given included */
  approved: boolean;
}

/**
 * What is written in the transaction of the transition.
 * `place`: the releases in the regions of the wave that begins. `restore`: what each region had before.
 * `close`: it is open no more. `reopen`: it is open again.
 */
export type PromotionEffect = 'place' | 'restore' | 'close' | 'reopen';

export interface Transition extends PromotionPhase {
  effects: readonly PromotionEffect[];
}

type Handler = (phase: PromotionPhase, plan: PromotionPlan) => Transition;

const stay = (state: PromotionState): Handler => goTo(state);

function goTo(state: PromotionState, ...effects: PromotionEffect[]): Handler {
  return ({ wave }) => ({ state, wave, effects });
}

const nextWave: Handler = ({ wave }, { waves }) =>
  wave < waves
    ? { state: 'rolling', wave: wave + 1, effects: ['place'] }
    : { state: 'completed', wave, effects: ['close'] };
const approve: Handler = (phase, plan) => (plan.approved ? goTo('approved') : stay('requested'))(phase, plan);
const giveUp = goTo('rejected', 'close');
const goBack = goTo('rolling-back', 'restore');
const isBack = goTo('rolled-back', 'close');
const refused = null;

/** For each state what each input makes of it; null: it is refused. A state or an input that is missing does not compile. */
const TABLE: Record<PromotionState, Record<PromotionInput, Handler | null>> = {
  requested: {
    approve,
    reject: giveUp,
    pause: refused,
    resume: refused,
    abort: giveUp,
    rollback: refused,
    skip: goTo('approved'),
    start: refused,
    acknowledged: refused,
    passed: refused,
    failed: refused,
    restored: refused,
  },
  approved: {
    approve: refused,
    reject: refused,
    pause: refused,
    resume: refused,
    abort: giveUp,
    rollback: refused,
    skip: refused,
    start: nextWave,
    acknowledged: refused,
    passed: refused,
    failed: giveUp, // nothing was changed yet
    restored: refused,
  },
  rolling: {
    approve: refused,
    reject: refused,
    pause: goTo('paused'),
    resume: refused,
    abort: goBack,
    rollback: refused,
    skip: goTo('soaking'),
    start: refused,
    acknowledged: goTo('soaking'),
    passed: refused,
    failed: goBack,
    restored: refused,
  },
  soaking: {
    approve: refused,
    reject: refused,
    pause: goTo('paused'),
    resume: refused,
    abort: goBack,
    rollback: refused,
    skip: nextWave,
    start: refused,
    acknowledged: refused,
    passed: nextWave,
    failed: goBack,
    restored: refused,
  },
  paused: {
    approve: refused,
    reject: refused,
    pause: refused,
    resume: goTo('rolling'), // what the wave placed is there: it is looked for acknowledgements again, and soaks anew
    abort: goBack,
    rollback: refused,
    skip: refused,
    start: refused,
    acknowledged: refused,
    passed: refused,
    failed: refused,
    restored: refused,
  },
  'rolling-back': {
    approve: refused,
    reject: refused,
    pause: refused,
    resume: refused,
    abort: refused,
    rollback: refused,
    skip: isBack,
    start: refused,
    acknowledged: refused,
    passed: refused,
    failed: refused,
    restored: isBack,
  },
  'rolled-back': nothingMore(),
  completed: { ...nothingMore(), rollback: goTo('rolling-back', 'reopen', 'restore') },
  rejected: nothingMore(),
};

function nothingMore(): Record<PromotionInput, null> {
  return Object.fromEntries(PROMOTION_INPUTS.map((input) => [input, refused])) as Record<PromotionInput, null>;
}

/** @returns null where the state does not allow it */
export function transitionOf(phase: PromotionPhase, input: PromotionInput, plan: PromotionPlan): Transition | null {
  return TABLE[phase.state][input]?.(phase, plan) ?? null;
}

/** Whether it still holds its APIs: nobody else may place them. */
export function isOpen(state: PromotionState): boolean {
  return state !== 'rolled-back' && state !== 'completed' && state !== 'rejected';
}

/** Whether somebody has to be woken for it, as nobody will ask. */
export function goesOnByItself(state: PromotionState): boolean {
  return state === 'approved' || state === 'rolling' || state === 'soaking' || state === 'rolling-back';
}

/** The states in which an input is not refused. */
export function statesFor(input: PromotionInput): PromotionState[] {
  return PROMOTION_STATES.filter((state) => TABLE[state][input] !== null);
}
