import type { ErrorCode } from '#model';

export type Door = 'auth' | 'validate';

/** What was answered to those who ask instead of sending requests: as many series as there are codes, whatever they ask. */
export class DoorDecisions {
  /** from zero, so that the first one that is allowed is seen to be one more */
  private readonly counts: Record<Door, Map<ErrorCode | 'allowed', number>> = {
    auth: new Map([['allowed', 0]]),
    validate: new Map([['allowed', 0]]),
  };

  /** @param code of a refusal; null: allowed */
  count(door: Door, code: ErrorCode | null): void {
    const counts = this.counts[door];
    counts.set(code ?? 'allowed', (counts.get(code ?? 'allowed') ?? 0) + 1);
  }

  each(tell: (labels: { door: string; code: string }, count: number) => void): void {
    for (const [door, counts] of Object.entries(this.counts))
      for (const [code, count] of counts) tell({ door, code }, count);
  }
}
