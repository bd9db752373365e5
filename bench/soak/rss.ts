import { readFileSync } from 'node:fs';

interface Sample {
  /** minutes since the start */
  at: number;
  /** KiB */
  rss: number;
  anonymous: number;
}

/** The resident memory of processes over time. */
export class MemoryLog {
  readonly #samples = new Map<string, Sample[]>();
  readonly #began = performance.now();

  /** @returns false when there is no such process any more */
  sample(name: string, pid: number): boolean {
    let text: string;
    try {
      text = readFileSync(`/proc/${pid}/status`, 'utf8');
    } catch {
      return false;
    }
    const kib = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
    let samples = this.#samples.get(`${name} ${pid}`);
    if (!samples) this.#samples.set(`${name} ${pid}`, (samples = []));
    samples.push({ at: (performance.now() - this.#began) / 60_000, rss: kib('VmRSS'), anonymous: kib('RssAnon') });
    return true;
  }

  /** Of each process that was there for the whole second half. */
  table(minutes: number): string[] {
    const lines: string[] = [];
    for (const [name, samples] of this.#samples) {
      const half = samples.filter(({ at }) => at >= minutes / 2);
      const [first, last] = [half[0], half.at(-1)];
      if (!first || !last || samples.indexOf(first) === 0 || last.at < minutes * 0.95) continue;
      const slopes = [slope(half, 'rss'), slope(half, 'anonymous')].map((each) => each.toFixed(0));
      lines.push(
        `  ${name}: ${mebibytes(samples[0]?.rss)} at first, ${mebibytes(first.rss)} at half, ${mebibytes(last.rss)} at the end; ` +
          `slope over the second half ${slopes[0]} KiB/min, of anonymous memory ${slopes[1]} KiB/min (n = ${half.length})`,
      );
    }
    return lines;
  }
}

/** By least squares, KiB a minute. */
function slope(samples: readonly Sample[], field: 'rss' | 'anonymous'): number {
  const mean = (of: (sample: Sample) => number): number =>
    samples.reduce((sum, one) => sum + of(one), 0) / samples.length;
  const [at, value] = [mean((one) => one.at), mean((one) => one[field])];
  const above = samples.reduce((sum, one) => sum + (one.at - at) * (one[field] - value), 0);
  return above / samples.reduce((sum, one) => sum + (one.at - at) ** 2, 0);
}

function mebibytes(kibibytes = 0): string {
  return `${(kibibytes / 1024).toFixed(1)} MiB`;
}
