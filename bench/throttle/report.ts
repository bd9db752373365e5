import { say } from '../options.js';

/** A table of Markdown, for docs/performance.md. The first row is its head. */
export function sayMarkdown(rows: readonly (readonly string[])[]): void {
  const [head = [], ...rest] = rows;
  say(`\n| ${head.join(' | ')} |\n|${'---|'.repeat(head.length)}`);
  for (const row of rest) say(`| ${row.join(' | ')} |`);
}
