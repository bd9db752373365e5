import type { Column } from '../output/output.js';
import { textOf } from '../output/render.js';

/** An item as the master told it. */
export type Item = Readonly<Record<string, unknown>>;

/** A column of the field at a path: `col('REVISION', 'chain.revision')`. */
export function col(title: string, path: string): Column<Item> {
  return { title, of: (item) => at(item, path) };
}

/** One that only `-o wide` shows. */
export function wide(title: string, path: string): Column<Item> {
  return { ...col(title, path), wide: true };
}

/** The beginning of a digest: enough for a person to tell one from another. */
export function digest(title: string, path: string): Column<Item> {
  return { title, of: (item) => textOf(at(item, path)).slice(0, 12) };
}

/** How long ago a time was. */
export function age(title: string, path: string): Column<Item> {
  return { title, of: (item) => ageOf(at(item, path), Date.now()) };
}

/** A limit as people say it: `100/second burst 200`. */
export function limit(title: string, path: string): Column<Item> {
  return {
    title,
    of: (item) => {
      const { limit: most, per, burst } = (at(item, path) ?? {}) as { limit?: number; per?: string; burst?: number };
      return most === undefined ? null : `${most}/${per}${burst === undefined ? '' : ` burst ${burst}`}`;
    },
  };
}

/** The state of something: red where somebody has to look at it. */
export function state(title: string, path: string): Column<Item> {
  return {
    ...col(title, path),
    tone: (item) => {
      const text = String(at(item, path));
      if (BAD.has(text)) return 'red';
      return GOOD.has(text) ? 'green' : undefined;
    },
  };
}
const BAD = new Set(['failed', 'rolled-back', 'rolling-back', 'rejected', 'halted', 'dead', 'revoked', 'suspended']);
const GOOD = new Set(['completed', 'active', 'serving', 'streaming', 'done', 'delivered']);

function at(item: Item, path: string): unknown {
  let value: unknown = item;
  for (const name of path.split('.')) value = (value as Item | null | undefined)?.[name];
  return value;
}

const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
] as const;

/** `3d`, `5h`, `12m`, `40s` */
export function ageOf(time: unknown, now: number): string | null {
  if (typeof time !== 'string') return null;
  const seconds = Math.round(Math.abs(now - Date.parse(time)) / 1000);
  const [unit, size] = UNITS.find(([, one]) => seconds >= one) ?? ['s', 1];
  return `${Math.floor(seconds / size)}${unit}`;
}
