import { PLACES } from './usage.endpoints.js';
import type { UsageRow } from './usage.endpoints.js';

export type Format = 'json' | 'csv' | 'ndjson';

export const TYPES: Record<Exclude<Format, 'json'>, string> = {
  csv: 'text/csv; charset=utf-8; header=present',
  ndjson: 'application/x-ndjson; charset=utf-8',
};

/** @param accept what the caller would like; that it names JSON, or anything, is JSON */
export function formatOf(asked: Format | undefined, accept: string | undefined): Format {
  if (asked) return asked;
  const wishes = (accept ?? '').split(',').map((wish) => {
    const [type = '', ...parameters] = wish.split(';').map((part) => part.trim().toLowerCase());
    const q = parameters.find((parameter) => parameter.startsWith('q='));
    return { type, q: q === undefined ? 1 : Number(q.slice(2)) };
  });
  const weight = (...types: string[]): number =>
    Math.max(0, ...wishes.filter(({ type }) => types.includes(type)).map(({ q }) => (q >= 0 ? q : 0)));
  const [json, csv, ndjson] = [
    weight('application/json', 'application/*', '*/*'),
    weight('text/csv', 'text/*'),
    weight('application/x-ndjson', 'application/ndjson'),
  ];
  if (csv > json && csv >= ndjson) return 'csv';
  return ndjson > json ? 'ndjson' : 'json';
}

/** A row as PostgreSQL has it. */
export interface RawRow {
  at?: number;
  environment?: string;
  region?: string;
  api?: string;
  application?: string | null;
  application_name?: string | null;
  subscription?: string | null;
  admitted: number;
  rate_limited: number;
  quota_exhausted: number;
}

/** @param by what `at` is the beginning of */
export function rowOf(raw: RawRow, by: 'hour' | 'day' | null): UsageRow {
  const time = by === null ? '' : new Date(raw.at ?? 0).toISOString();
  return {
    ...(by === 'hour' ? { hour: time } : {}),
    ...(by === 'day' ? { day: time.slice(0, 10) } : {}),
    ...Object.fromEntries(PLACES.filter((place) => raw[place] !== undefined).map((place) => [place, raw[place]])),
    ...(raw.application_name === undefined ? {} : { applicationName: raw.application_name }),
    admitted: raw.admitted,
    rateLimited: raw.rate_limited,
    quotaExhausted: raw.quota_exhausted,
  };
}

/** The columns of rows with these groups, in order. */
export function columnsOf(by: 'hour' | 'day' | null, places: readonly string[]): string[] {
  const names = places.includes('application') ? ['applicationName'] : [];
  return [...(by ? [by] : []), ...places, ...names, 'admitted', 'rateLimited', 'quotaExhausted'];
}

type Field = string | number | null | undefined;

export function csvLine(values: readonly Field[]): string {
  return `${values.map(csvField).join()}\r\n`;
}

/** RFC 4180; and what a spreadsheet would take for a formula is made text, as it does with an apostrophe. */
function csvField(value: Field): string {
  if (typeof value === 'number') return String(value);
  if (value === null || value === undefined) return '';
  const text = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\r\n']/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
