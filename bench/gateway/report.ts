import { say } from '../options.js';
import type { Ratio } from './rounds.js';

/** One budget, and what was measured. */
export interface Row {
  what: string;
  measured: string;
  budget: string;
  /** null: not to be said, and `measured` says why */
  reached: boolean | null;
}

/** `0.83 (0.80 - 0.86)`: the median of paired rounds, the least and the most. */
export const ratioText = ({ median, least, most }: Ratio): string =>
  `${median.toFixed(2)} (${least.toFixed(2)} - ${most.toFixed(2)})`;

export const count = (number: number): string => Math.round(number).toLocaleString('en');
export const percent = (share: number): string => `${Math.round(share * 100)}%`;

/** @param budget what the median has to reach at the least */
export function atLeast(what: string, ratio: Ratio, budget: number): Row {
  return { what, measured: ratioText(ratio), budget: `>= ${budget}`, reached: ratio.median >= budget };
}

export function atMost(what: string, ratio: Ratio, budget: number): Row {
  return { what, measured: ratioText(ratio), budget: `<= ${budget}`, reached: ratio.median <= budget };
}

/** The budgets as a table of Markdown, for docs/performance.md. */
export function sayRows(rows: readonly Row[]): void {
  say('\n| what | measured | budget | |\n|---|---|---|---|');
  for (const { what, measured, budget, reached } of rows) {
    const verdict = reached === null ? 'not measured' : reached ? 'reached' : '**missed**';
    say(`| ${what} | ${measured} | ${budget} | ${verdict} |`);
  }
}

/** Columns of a table for the terminal, as wide as their widest text. */
export function sayTable(rows: readonly (readonly string[])[]): void {
  const widths = rows.reduce<number[]>((all, row) => row.map((text, i) => Math.max(all[i] ?? 0, text.length)), []);
  for (const row of rows)
    say(
      `  ${row.map((text, i) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))).join('  ')}`,
    );
}
