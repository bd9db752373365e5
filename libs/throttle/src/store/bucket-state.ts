import type { RateLimit } from '#model';
import type { QuotaState } from '../algorithm/quota.js';
import { type RateState, TICK_MICROS, UNITS_PER_TOKEN } from '../algorithm/rate.js';

/*
 * What counter-function.ts keeps of a bucket, read by those who go on without the server. The forms are explained there.
 */

/** @returns null for what is no such state */
export function readRateState(text: string): { state: RateState; limit: RateLimit } | null {
  const numbers = numbersOf(text, 'r1', 8);
  if (!numbers) return null;
  const [, debt, at, slice, lent, lentBefore, limit, tick] = numbers as [number, ...number[]] & Record<number, number>;
  const per = (['second', 'minute', 'hour'] as const).find((name) => TICK_MICROS[name] === tick);
  if (per === undefined) return null;
  return {
    state: { debt, at, slice, lent, lentBefore } as RateState,
    limit: { limit: limit as number, per },
  };
}

export function readQuotaState(text: string): QuotaState | null {
  const numbers = numbersOf(text, 'q1', 3);
  return numbers ? { start: numbers[1] as number, used: numbers[2] as number } : null;
}

/** The same bucket with more tokens spent. */
export function withSpent(text: string, tokens: number): string {
  const words = text.split(' ');
  const [at, units] = words[0] === 'r1' ? [2, UNITS_PER_TOKEN] : [3, 1];
  words[at] = `${Math.max(0, Number(words[at]) + tokens * units)}`;
  return words.join(' ');
}

function numbersOf(text: string, tag: string, count: number): number[] | null {
  const [first, ...words] = text.split(' ');
  const numbers = words.map(Number);
  return first === tag && numbers.length === count && numbers.every(Number.isSafeInteger) ? numbers : null;
}
