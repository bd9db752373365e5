import { type Definition, type Route, templateShape } from '#model';
import type { Change, ReleaseDiff } from './releases.endpoints.js';

const MAX_DIFFERENCES = 1000;
/** characters of JSON that a value may have and still be shown */
const MAX_SHOWN = 1000;

/** What has to change in `from` to make `to` of it: at most 1000 differences, each of bounded size. */
export function diffDefinitions(from: Definition, to: Definition): Omit<ReleaseDiff, 'from' | 'to'> {
  const budget = new Budget();
  const { routes: oldRoutes, ...oldFields } = from;
  const { routes: newRoutes, ...newFields } = to;
  const fields = changesOf(oldFields, newFields, budget);
  const before = new Map(oldRoutes.map((route) => [shapeOf(route), route]));
  const after = new Map(newRoutes.map((route) => [shapeOf(route), route]));
  const routes: ReleaseDiff['routes'] = { added: [], removed: [], changed: [] };
  for (const [shape, route] of after) {
    const old = before.get(shape);
    if (!old) {
      if (budget.spend()) routes.added.push(nameOf(route));
      continue;
    }
    const changes = changesOf(old, route, budget);
    if (changes.length > 0) routes.changed.push({ ...nameOf(route), changes });
  }
  for (const [shape, route] of before) {
    if (!after.has(shape) && budget.spend()) routes.removed.push(nameOf(route));
  }
  return { routes, fields, truncated: budget.exceeded };
}

/** What has to change in `from` to make `to` of it, each difference of bounded size. */
export function differences(from: object, to: object): Change[] {
  return changesOf(from, to, new Budget());
}

class Budget {
  exceeded = false;
  private left = MAX_DIFFERENCES;

  spend(): boolean {
    if (this.left === 0) this.exceeded = true;
    else this.left -= 1;
    return !this.exceeded;
  }
}

const shapeOf = ({ method, path }: Route): string => `${method} ${templateShape(path)}`;
const nameOf = ({ method, path }: Route): { method: string; path: string } => ({ method, path });

function changesOf(from: unknown, to: unknown, budget: Budget): Change[] {
  const changes: Change[] = [];
  compare(from, to, '', (change) => {
    if (budget.spend()) changes.push(change);
  });
  return changes;
}

/** Goes down where both sides have an object, or both a list, and tells of the rest. */
function compare(from: unknown, to: unknown, pointer: string, found: (change: Change) => void): void {
  if (from === to) return;
  if (!isContainer(from) || !isContainer(to) || Array.isArray(from) !== Array.isArray(to)) {
    found({ pointer, ...shown(from, to) });
    return;
  }
  for (const key of new Set([...Object.keys(from), ...Object.keys(to)])) {
    compare(own(from, key), own(to, key), `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, found);
  }
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function own(value: object, key: string): unknown {
  return Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
}

/** A value that is missing is no member of the JSON either. */
function shown(from: unknown, to: unknown): Omit<Change, 'pointer'> {
  const size = (value: unknown): number => (value === undefined ? 0 : JSON.stringify(value).length);
  return Math.max(size(from), size(to)) > MAX_SHOWN ? { large: true } : { from, to };
}
