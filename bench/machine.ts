import { cpus, totalmem } from 'node:os';

/** One line that says on what the numbers were taken. */
export function machineLine(): string {
  const [first] = cpus();
  return `${cpus().length} x ${first?.model ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}, Node ${process.version}`;
}

/** The value below which `share` of the sorted numbers lie. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** `p50 1,203 ms, p99 2,050 ms, max 2,090 ms (n = 50)` */
export function spread(numbers: readonly number[], unit: string): string {
  const text = (value: number): string => Math.round(value).toLocaleString('en');
  return `p50 ${text(quantile(numbers, 0.5))} ${unit}, p99 ${text(quantile(numbers, 0.99))} ${unit}, max ${text(Math.max(...numbers))} ${unit} (n = ${numbers.length})`;
}
