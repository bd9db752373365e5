import { z } from 'zod';
import { EVENT_KINDS } from './event-kinds.js';

/** What is asked for: a type, the beginning of some (`promotion.*`), or `*`. */
export const eventTypePattern = z
  .string()
  .refine((pattern) => [...EVENT_KINDS.keys()].some((type) => matches(type, pattern)), {
    error: `must be *, a type of an event like ${EVENT_KINDS.keys().next().value}, or its beginning with .* like promotion.*`,
  })
  .meta({ example: 'promotion.*' });

function matches(type: string, pattern: string): boolean {
  return pattern === '*' || type === pattern || (pattern.endsWith('.*') && type.startsWith(pattern.slice(0, -1)));
}

/** The same in SQL, of two expressions. */
export function matchesType(type: string, pattern: string): string {
  return `(${pattern} IN ('*', ${type}) OR right(${pattern}, 2) = '.*' AND starts_with(${type}, left(${pattern}, -1)))`;
}
