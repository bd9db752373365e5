import { setTimeout as sleep } from 'node:timers/promises';

interface Patience {
  /** milliseconds; default 30000 */
  within?: number;
  /** milliseconds between two looks; default 25 */
  every?: number;
  /** what is waited for, as the message will say it: `both regions to serve the API` */
  what: string;
}

/**
 * Asks again and again until the answer is something, and returns it. A condition that throws is not fulfilled yet;
 * the last error is told when the time is over.
 *
 * @throws Error
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { within = 30_000, every = 25, what }: Patience,
): Promise<Exclude<T, undefined | null | false | 0 | ''>> {
  const deadline = performance.now() + within;
  let cause: unknown;
  do {
    try {
      const answer = await condition();
      if (answer) return answer as Exclude<T, undefined | null | false | 0 | ''>;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    await sleep(every);
  } while (performance.now() < deadline);
  const last = cause === undefined ? '' : `; the last attempt: ${(cause as Error).message}`;
  throw new Error(`waited ${within} ms in vain for ${what}${last}`, { cause });
}
