import { stripVTControlCharacters } from 'node:util';
import type { Column, Format, View } from './output.js';
import { safeJson, type Style, visible } from './style.js';

/** The text of a view, with its line ends. JSON and YAML show what the master told. */
export async function render<T>(format: Format, view: View<T>, style: Style): Promise<string> {
  const { item, name } = view;
  const items = view.items ?? [view.item];
  if (format === 'json') return `${safeJson(JSON.stringify(view.items ?? item, null, 2))}\n`;
  if (format === 'name') return items.map((one) => `${visible(name(one))}\n`).join('');
  if (format === 'yaml' || view.items === undefined) {
    const { stringify } = await import('yaml');
    return stringify(view.items ?? item)
      .split('\n')
      .map(visible)
      .join('\n');
  }
  const columns = view.columns.filter(
    ({ wide, optional, of }) =>
      (format === 'wide' || !wide) && (!optional || view.items.some((one) => isThere(of(one)))),
  );
  return table(
    columns.map(({ title }) => style.bold(title)),
    view.items.map((one) => columns.map((column) => cellOf(column, one, style))),
  );
}

function isThere(value: unknown): boolean {
  return value !== null && value !== undefined;
}

/** Lines of cells under each other; the last column may be as long as it likes. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [titles, ...rows];
  const widths = titles.map((_, at) => Math.max(...all.map((row) => widthOf(row[at] ?? ''))));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => (at === row.length - 1 ? cell : cell + ' '.repeat((widths[at] ?? 0) - widthOf(cell))))
      .join('  ');
  return all.map((row) => `${line(row).trimEnd()}\n`).join('');
}

function cellOf<T>({ of, tone }: Column<T>, item: T, style: Style): string {
  const text = textOf(of(item));
  const paint = tone?.(item);
  return paint ? style[paint](text) : text;
}

/** A value of JSON in one line. */
export function textOf(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-';
  if (typeof value === 'string') return visible(value);
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(textOf).join(',');
  return visible(JSON.stringify(value));
}

function widthOf(text: string): number {
  return stripVTControlCharacters(text).length;
}
