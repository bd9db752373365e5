import { fail } from '#model';
import { z } from 'zod';

const limitText = 'must be a whole number from 1 to 200';

/** `?limit=&cursor=`; spread into the query schema of a list. */
export const pageQuery = {
  limit: z.coerce
    .number(limitText)
    .int(limitText)
    .min(1, limitText)
    .max(200, limitText)
    .default(50)
    .meta({ description: 'How many items at the most.' }),
  cursor: z.string().max(1000).optional().meta({ description: 'Where the page before ended: its `next`.' }),
};

export interface PageRequest {
  limit: number;
  cursor?: string;
}

export interface Page<T> {
  items: T[];
  /** cursor of the next page; null at the end */
  next: string | null;
}

export const pageOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next: z.string().nullable() });

/** Forms of a cursor's parts. */
export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** as PostgreSQL writes it: `2026-11-21 15:04:09.123456+00` */
export const AGE_AND_ID = [/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?[+-]\d\d(:\d\d)?$/, UUID];

/** A cursor is opaque to callers: the sort key of the last item of a page. */
export function encodeCursor(parts: readonly string[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/**
 * @param form what each part looks like, where the database would refuse other text
 * @returns the parts, or null without a cursor
 * @throws HelioError for anything that `encodeCursor` did not make
 */
export function decodeCursor(cursor: string | undefined, parts: number, form: readonly RegExp[] = []): string[] | null {
  if (cursor === undefined) return null;
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    // PostgreSQL takes no text with a NUL
    const isPart = (part: unknown, i: number): boolean =>
      typeof part === 'string' && !part.includes('\0') && (form[i]?.test(part) ?? true);
    if (Array.isArray(value) && value.length === parts && value.every(isPart)) return value as string[];
  } catch {
    // falls through to the one error below
  }
  throw fail('invalid_request', 'cursor: is not one that this list gave out', {
    fields: [
      {
        field: 'cursor',
        problem: 'is not one that this list gave out',
        expected: 'the `next` of the page before, unchanged',
      },
    ],
  });
}

/** Cuts one row too many (ask the database for `limit + 1`) into a page. */
export function toPage<R, T>(
  rows: R[],
  limit: number,
  cursorOf: (row: R) => readonly string[],
  view: (row: R) => T,
): Page<T> {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return {
    items: page.map(view),
    next: rows.length > limit && last !== undefined ? encodeCursor(cursorOf(last)) : null,
  };
}
