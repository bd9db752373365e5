import { backoffMs, sleep } from '#platform';

export interface Pace {
  /** the first pause after a failure, and the longest */
  baseMs: number;
  maxMs: number;
}

/** Milliseconds since 1970, of a clock that is never set back: what is waited for does not depend on the wall clock. */
export const steadyNow = (): number => performance.timeOrigin + performance.now();

/** Whether something that runs for long still does, how often it has failed in a row, and its clock: handed in as one. */
export class RunState {
  #failures = 0;

  constructor(
    readonly signal: AbortSignal,
    private readonly pace: Pace,
    readonly now: () => number = steadyNow,
    readonly random: () => number = Math.random,
  ) {}

  get ended(): boolean {
    return this.signal.aborted;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** @param share how many others are tried before the same one again @returns milliseconds to pause */
  failed(share = 1): number {
    const { baseMs, maxMs } = this.pace;
    return backoffMs(Math.floor(this.#failures++ / share), baseMs, maxMs, this.random);
  }

  /** Ends early when everything does. */
  pause(ms: number): Promise<void> {
    return sleep(ms, this.signal);
  }
}
