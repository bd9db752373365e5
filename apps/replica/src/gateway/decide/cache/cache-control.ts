/** Directives of Cache-Control by name in lower case; null: without a value. */
export type Directives = ReadonlyMap<string, string | null>;

const NONE: Directives = new Map();
/** Seconds beyond any answer's life (RFC 9111, 1.2.2). */
const MOST_SECONDS = 2 ** 31;
const DIRECTIVE = /([^\s,;="]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"?|([^\s,;"]*)))?/g;
/** The one form of a date that may be sent (RFC 9110, 5.6.7). Date.parse alone takes `0` for the year 2000. */
const DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** All fields of the message are one list. A directive that is said twice and differently has no valid value. */
export function parseDirectives(values: readonly string[]): Directives {
  if (values.length === 0) return NONE;
  const directives = new Map<string, string | null>();
  for (const value of values) {
    for (const [, name = '', quoted, token] of value.matchAll(DIRECTIVE)) {
      const lower = name.toLowerCase();
      const given = quoted ?? token ?? null;
      directives.set(lower, directives.has(lower) && directives.get(lower) !== given ? '' : given);
    }
  }
  return directives;
}

/** A number of seconds, in milliseconds; null for anything else. */
export function parseSeconds(text: string | null | undefined): number | null {
  return text && /^\d+$/.test(text) ? Math.min(Number(text), MOST_SECONDS) * 1000 : null;
}

/** Milliseconds since 1970; null for what is no date. */
export function parseDate(text: string | undefined): number | null {
  if (text === undefined || !DATE.test(text)) return null;
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : date;
}
