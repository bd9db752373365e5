import { setTimeout as sleep } from 'node:timers/promises';

/** How long it took from sending a write, and from its answer, until it was seen elsewhere; milliseconds. */
export interface Seen {
  sent: number[];
  answered: number[];
}

/** Before anything is counted: what is compiled, cached and connected once. */
const WARM_UP_SECONDS = 2;

/**
 * Writes at a steady rate whether or not earlier ones have been answered, and waits for each to be seen.
 *
 * @param write @returns when it was answered, by performance.now()
 * @param seen when it was seen, likewise
 */
export async function paced(
  rate: number,
  seconds: number,
  write: (number: number) => Promise<{ answered: number; seen: Promise<number> } | null>,
): Promise<Seen> {
  const result: Seen = { sent: [], answered: [] };
  const first = Math.round(rate * WARM_UP_SECONDS);
  const count = first + Math.round(rate * seconds);
  const began = performance.now();
  const all: Promise<void>[] = [];
  for (let number = 0; number < count; number++) {
    await sleep(Math.max(0, began + (number / rate) * 1000 - performance.now()));
    const sent = performance.now();
    all.push(
      write(number).then(async (written) => {
        if (!written) return;
        const seen = await written.seen;
        if (number < first) return;
        result.sent.push(seen - sent);
        result.answered.push(seen - written.answered);
      }),
    );
  }
  await Promise.all(all);
  return result;
}
