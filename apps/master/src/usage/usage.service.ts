import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, HOUR_MS } from '#model';
import type { FieldFault } from '#platform';
import { DataSource } from 'typeorm';
import type { InputOf } from '../http/endpoint.js';
import { decodeCursor, encodeCursor } from '../http/paging.js';
import { type Answer, ok } from '../http/request.js';
import { PLACES, type getUsage, type UsagePage } from './usage.endpoints.js';
import { columnsOf, csvLine, type Format, type RawRow, rowOf } from './usage-format.js';
import { keyTypesOf, type Part, partsOf, statementOf, type UsageAsk } from './usage-query.js';

type UsageQuery = InputOf<typeof getUsage>['query'];
type KeyedRow = RawRow & Record<`k${number}`, string | number>;

const DAY_MS = 24 * HOUR_MS;
const LONGEST_DAYS = 800;
/** Exports at a time: each holds a connection of the pool; others wait for their turn. */
const EXPORTS = 2;
const ROWS_AT_ONCE = 5_000;

@Injectable()
export class UsageService {
  private exporting = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(@InjectDataSource() private readonly source: DataSource) {}

  /** Part by part, until the page is full. */
  async page(query: UsageQuery): Promise<Answer<UsagePage>> {
    const ask = askOf(query);
    const { limit } = query;
    const rows: (KeyedRow & { part: number })[] = [];
    const types = keyTypesOf(ask);
    const { part: first, after } = cursorOf(query, types);
    for (const [part, span] of partsOf(ask).entries()) {
      if (part < first || rows.length > limit) continue;
      const { sql, parameters } = statementOf(ask, span, part === first ? after : null, limit + 1 - rows.length);
      const found: KeyedRow[] = await this.source.query(sql, parameters);
      for (const row of found) rows.push({ ...row, part });
    }
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    const keys = last && rows.length > limit ? [last.part, ...types.map((_, i) => last[`k${i}`])] : null;
    const next = keys && encodeCursor(keys.map(String));
    const items = shown.map((row) => rowOf(row, ask.by));
    return ok({ from: ask.from.toISOString(), to: ask.to.toISOString(), items, next });
  }

  /** All rows as text. Rows are read as fast as they are taken; what is not taken in a minute ends by an error. */
  async *export(query: UsageQuery, format: Exclude<Format, 'json'>): AsyncGenerator<string> {
    const ask = askOf(query);
    if (query.cursor !== undefined)
      throw invalid('cursor', 'goes with JSON only', 'leave it out: all rows are answered');
    const columns = columnsOf(ask.by, placesShown(ask));
    while (this.exporting >= EXPORTS) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.exporting += 1;
    try {
      if (format === 'csv') yield csvLine(columns);
      for (const part of partsOf(ask)) {
        for await (const rows of this.rowsOf(ask, part)) {
          const shown = rows.map((row): Record<string, string | number | null | undefined> => rowOf(row, ask.by));
          yield shown
            .map((row) => (format === 'csv' ? csvLine(columns.map((name) => row[name])) : `${JSON.stringify(row)}\n`))
            .join('');
        }
      }
    } finally {
      this.exporting -= 1;
      this.waiting.shift()?.();
    }
  }

  private async *rowsOf(ask: UsageAsk, part: Part): AsyncGenerator<KeyedRow[]> {
    const { sql, parameters } = statementOf(ask, part, null, null);
    const runner = this.source.createQueryRunner();
    try {
      await runner.startTransaction('REPEATABLE READ');
      await runner.query(`DECLARE usage_rows NO SCROLL CURSOR FOR ${sql}`, parameters);
      for (;;) {
        const rows = (await runner.query(`FETCH ${ROWS_AT_ONCE} FROM usage_rows`)) as KeyedRow[];
        if (rows.length > 0) yield rows;
        if (rows.length < ROWS_AT_ONCE) break;
      }
    } finally {
      // it has only read; and a connection that is broken says so to who reads
      await runner.rollbackTransaction().catch(() => undefined);
      await runner.release();
    }
  }
}

function askOf(query: UsageQuery): UsageAsk {
  const { groupBy, order } = query;
  const by = groupBy.includes('hour') ? 'hour' : groupBy.includes('day') ? 'day' : null;
  const unit = by === 'hour' ? HOUR_MS : DAY_MS;
  const now = Date.now();
  const to = query.to ?? new Date(Math.floor(now / unit + 1) * unit);
  const from = query.from ?? new Date(Math.floor((to.getTime() - 1) / DAY_MS - 29) * DAY_MS);
  const expected = by === 'hour' ? 'a whole hour, UTC' : 'a whole day, UTC; groupBy=hour takes whole hours';
  for (const [field, at] of Object.entries({ from, to }))
    if (at.getTime() % unit !== 0)
      throw invalid(field, `${at.toISOString()} is not ${expected.split(';')[0]}`, expected);
  if (from >= to) throw invalid('to', 'is not after from', `a time after ${from.toISOString()}`);
  if (to.getTime() - from.getTime() > LONGEST_DAYS * DAY_MS)
    throw invalid('from', `is more than ${LONGEST_DAYS} days before to`, 'a shorter time');
  if (order === 'most' && by !== null)
    throw invalid('order', `does not go with ${by}s`, 'most goes with sums of the whole time');
  const filters = Object.fromEntries(
    PLACES.flatMap((place) => (query[place] === undefined ? [] : [[place, query[place]]])),
  );
  const places = PLACES.filter((place) => groupBy.includes(place));
  return { from, to, by, places, filters, most: order === 'most' };
}

/** A subscription is shown with its API and application. */
function placesShown({ places }: UsageAsk): string[] {
  const all = places.includes('subscription');
  return PLACES.filter((place) => places.includes(place) || (all && (place === 'api' || place === 'application')));
}

/** Which part, and the keys of the row before. */
function cursorOf({ cursor }: UsageQuery, types: readonly string[]): { part: number; after: string[] | null } {
  const forms = [/^\d{1,4}$/, ...types.map((type) => FORMS[type] ?? /^/)];
  const place = decodeCursor(cursor, forms.length, forms);
  return place ? { part: Number(place[0]), after: place.slice(1) } : { part: 0, after: null };
}

/** Of keys, by their types in the database. */
const FORMS: Record<string, RegExp> = { integer: /^-?\d{1,9}$/, float8: /^-?\d{1,16}$/ };

function invalid(field: string, problem: string, expected: string): Error {
  const fault: FieldFault = { field, problem, expected };
  return fail('invalid_request', `${field}: ${problem}`, { fields: [fault] });
}
