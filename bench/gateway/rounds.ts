/**
 * Measures each of them once in a round, the order rotated from round to round, so that a slow minute of the machine and
 * what the one before leaves behind meet all of them alike.
 *
 * @returns the rounds of each, in the order of `all`
 */
export async function inRounds<T, S>(
  all: readonly T[],
  rounds: number,
  measure: (one: T, round: number) => Promise<S>,
): Promise<S[][]> {
  const samples: S[][] = all.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < all.length; i++) {
      const index = (i + round) % all.length;
      samples[index]?.push(await measure(all[index] as T, round));
    }
  }
  return samples;
}

/** Of paired rounds: each compared with the same round of the other. */
export interface Ratio {
  median: number;
  least: number;
  most: number;
}

export function ratioOf(numbers: readonly number[], others: readonly number[]): Ratio {
  const ratios = numbers.map((number, i) => number / (others[i] as number));
  return { median: middle(ratios), least: Math.min(...ratios), most: Math.max(...ratios) };
}

/** The median; of an even number of them, between the two in the middle. */
export function middle(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[half]];
  return low === high ? low : (low + high) / 2;
}
