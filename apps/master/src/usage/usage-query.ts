import { NO_SUBSCRIPTION } from './merge-report.js';
import { PLACES, type Place } from './usage.endpoints.js';

export interface UsageAsk {
  /** whole hours where it is by hour, else whole days; `to` is not in it */
  from: Date;
  to: Date;
  by: 'hour' | 'day' | null;
  places: readonly Place[];
  filters: Partial<Record<Place, string>>;
  most: boolean;
}

/** A part of the answer that is asked for by itself: one bucket of what is large, so that the first rows come soon. */
export interface Part {
  from: Date;
  to: Date;
}

/** Its rows have columns k0, k1 ... that they are sorted by: the place of a row, for a cursor. */
export interface Statement {
  sql: string;
  parameters: unknown[];
}

const COUNTS = ['admitted', 'rate_limited', 'quota_exhausted'] as const;
const DAY_MS = 86_400_000;
const EPOCH = `DATE '1970-01-01'`;

/** Whether single subscriptions are looked at, and not only sums of an API in a region. */
const isDeep = ({ places, filters }: UsageAsk): boolean =>
  [...places, ...Object.keys(filters)].some((place) => place === 'application' || place === 'subscription');

/** In order. */
export function partsOf(ask: UsageAsk): Part[] {
  if (!isDeep(ask) || ask.by === null) return [{ from: ask.from, to: ask.to }];
  const parts: Part[] = [];
  for (let from = ask.from; from < ask.to; ) {
    const end = ask.by === 'hour' ? nextDay(from) : nextMonth(from);
    const to = end < ask.to ? end : ask.to;
    parts.push({ from, to });
    from = to;
  }
  return parts;
}

const nextDay = (at: Date): Date => new Date((Math.floor(at.getTime() / DAY_MS) + 1) * DAY_MS);
const nextMonth = (at: Date): Date => new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1));
const monthOf = (at: Date): Date => new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth()));
const dayText = (at: Date): string => at.toISOString().slice(0, 10);

/** Of the keys of its rows, in order. */
export function keyTypesOf(ask: UsageAsk): string[] {
  return new UsageQuery(ask, ask).rows(null, null).keys.map(({ type }) => type);
}

/** @param after the keys of the row before; null: from the beginning @param limit rows; null: all */
export function statementOf(
  ask: UsageAsk,
  part: Part,
  after: readonly string[] | null,
  limit: number | null,
): Statement {
  const query = new UsageQuery(ask, part);
  const { body, keys } = query.rows(after, limit);
  const names = keys.map((_, i) => `x.k${i}`);
  const past = after ? `WHERE (${names.join()}) > (${query.typed(keys, after)})` : '';
  // whole exports come as they are made: nobody waits for 72 million rows to be sorted
  const order = limit === null && ask.by !== null ? '' : `ORDER BY ${names.join()}`;
  const page = `SELECT * FROM (${body}) x ${past} ${order} ${limit === null ? '' : `LIMIT ${limit}`}`;
  const named = query.shows('application') ? 'LEFT JOIN application a ON a.id = x.application' : '';
  const name = named === '' ? '' : ', a.name AS application_name';
  const sql = `SELECT x.*${name} FROM (${page}) x ${named} ${named === '' ? '' : order}`;
  return { sql, parameters: query.parameters };
}

interface Key {
  sql: string;
  type: string;
}

class UsageQuery {
  readonly parameters: unknown[] = [];
  private readonly deep: boolean;
  /** a row of a subject says of which API and application it is */
  private readonly bySubject: boolean;
  private readonly ownPlaces: readonly Place[];

  constructor(
    private readonly ask: UsageAsk,
    private readonly part: Part,
  ) {
    const { places } = ask;
    this.deep = isDeep(ask);
    this.bySubject = places.includes('subscription');
    this.ownPlaces = PLACES.filter((place) => places.includes(place) && !(this.bySubject && isOfSubject(place)));
  }

  parameter(value: unknown): string {
    return `$${this.parameters.push(value)}`;
  }

  /** A subscription says of which application and API it is. */
  shows(place: Place): boolean {
    const { places } = this.ask;
    return places.includes(place) || (places.includes('subscription') && (place === 'application' || place === 'api'));
  }

  rows(after: readonly string[] | null, limit: number | null): { body: string; keys: Key[] } {
    const { by } = this.ask;
    return by === 'hour' || (by === 'day' && this.deep) ? this.expanded(after, limit) : this.sums();
  }

  /** A row for each slot that is not 0. Of a page no more groups are summed up than it may have rows, where each has one. */
  private expanded(after: readonly string[] | null, limit: number | null): { body: string; keys: Key[] } {
    const [unit, slots, bucket] = this.ask.by === 'day' ? ['day', 31, 'u.month'] : ['hour', 24, 'u.day'];
    const table = unit === 'day' ? 'usage_month' : this.deep ? 'usage_day' : 'usage_api_day';
    const keys = [{ sql: `${bucket} - ${EPOCH}`, type: 'integer' }, ...this.keys()];
    const arrays = COUNTS.map((count) => {
      const sums = Array.from({ length: Number(slots) }, (_, i) => `sum(u.${count}[${i + 1}])::bigint`);
      return `ARRAY[${sums.join()}] AS ${count}`;
    });
    const columns = [...keys.map(({ sql }, i) => `${sql} AS k${i}`), ...this.labelColumns(), ...arrays];
    const from = this.parameter(timestamp(this.part.from));
    const start = `date_trunc('${unit === 'day' ? 'month' : 'day'}', ${from}::timestamp)::date`;
    const conditions = [
      // a part of what is large is one bucket: said so that, the rest of the key gives the order
      this.deep
        ? `${bucket} = ${start}`
        : `${bucket} >= ${start} AND ${bucket} < ${this.parameter(timestamp(this.part.to))}::timestamp`,
      ...this.conditions(),
      ...(after ? [`(${keys.map(({ sql }) => sql).join()}) >= (${this.typed(keys, after)})`] : []),
    ];
    const order = keys.map((_, i) => `k${i}`).slice(this.deep ? 1 : 0);
    const first =
      limit !== null && this.isWhole() && order.length > 0 ? `ORDER BY ${order.join()} LIMIT ${limit + 1}` : '';
    // in hours, or days, since 1970: whole numbers, for there may be millions of rows
    const unitMs = unit === 'day' ? DAY_MS : DAY_MS / 24;
    const at = `(p.k0 * ${DAY_MS / unitMs} + n.i - 1)`;
    const since = (time: Date): string => this.parameter(time.getTime() / unitMs);
    const shown = [
      ...keys.map((_, i) => `p.k${i}`),
      `n.i::integer AS k${keys.length}`,
      `${at}::float8 * ${unitMs} AS at`,
      ...this.labels().map(([name]) => `p.${name}`),
      ...COUNTS.map((count) => `coalesce(n.${count}, 0)::float8 AS ${count}`),
    ];
    const body = `
      SELECT ${shown.join()} FROM (
        SELECT ${columns.join()} FROM ${this.joined(table)} WHERE ${conditions.join(' AND ')}
        GROUP BY ${[bucket, ...this.grouped()].join()} ${first}) p
        CROSS JOIN LATERAL unnest(p.admitted, p.rate_limited, p.quota_exhausted) WITH ORDINALITY AS n (${COUNTS.join()}, i)
      WHERE (n.admitted > 0 OR n.rate_limited > 0 OR n.quota_exhausted > 0)
        AND ${at} >= ${since(this.part.from)}::integer AND ${at} < ${since(this.part.to)}::integer`;
    return { body, keys: [...keys, { sql: '', type: 'integer' }] };
  }

  /** The beginning of a place in the order of keys, of which there may be more. */
  typed(keys: readonly Key[], values: readonly string[]): string {
    return keys.map(({ type }, i) => `${this.parameter(values[i])}::${type}`).join();
  }

  private isWhole(): boolean {
    const { from, to } = this.part;
    return this.ask.by === 'hour'
      ? from.getTime() % DAY_MS === 0 && to.getTime() % DAY_MS === 0
      : from.getUTCDate() === 1 && to.getUTCDate() === 1;
  }

  /** A row for each group, and day where that is asked for. */
  private sums(): { body: string; keys: Key[] } {
    const { by, most } = this.ask;
    const keys = this.keys();
    const sums = COUNTS.map((count) => `coalesce(sum(u.${count}), 0)::float8 AS ${count}`);
    const at = by === 'day' ? ['(extract(epoch FROM u.day) * 1000)::float8 AS at'] : [];
    const first: Key[] = most ? [{ sql: '-coalesce(sum(u.admitted), 0)::float8', type: 'float8' }] : [];
    const all = [...first, ...(by === 'day' ? [{ sql: `u.day - ${EPOCH}`, type: 'integer' }] : []), ...keys];
    const sorted = all.length > 0 ? all : [{ sql: '0', type: 'integer' }];
    const groups = [...(by === 'day' ? ['u.day'] : []), ...this.grouped()];
    const columns = sorted.map(({ sql }, i) => `${sql} AS k${i}`);
    const conditions = this.conditions();
    const body = `
      SELECT ${[...columns, ...at, ...this.labelColumns(), ...sums].join()} FROM ${this.joined(`(${this.ranges()})`)}
      ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''}
      ${groups.length > 0 ? `GROUP BY ${groups.join()}` : ''} HAVING sum(u.admitted + u.rate_limited + u.quota_exhausted) > 0`;
    return { body, keys: sorted };
  }

  /** Each row's slots in the window as one sum: of months the first and the last may be in it in part. */
  private ranges(): string {
    const { from, to } = this.part;
    const sum = (count: string, first: number, last: number): string =>
      `CASE WHEN u.${count} IS NULL THEN 0 ELSE ${Array.from({ length: last - first + 1 }, (_, i) => `coalesce(u.${count}[${first + i}], 0)`).join(' + ')} END AS ${count}`;
    if (!this.deep) {
      const sums = COUNTS.map((count) => sum(count, 1, 24)).join();
      return `SELECT u.day, u.environment, u.region, u.api, ${sums} FROM usage_api_day u
        WHERE u.day >= ${this.parameter(dayText(from))} AND u.day < ${this.parameter(dayText(to))}`;
    }
    const range = (months: readonly Date[], first: number, last: number): string[] =>
      months.length === 0
        ? []
        : [
            `SELECT u.subject, u.series, ${COUNTS.map((count) => sum(count, first, last)).join()} FROM usage_month u
             WHERE u.month = ANY (${this.parameter(months.map(dayText))}::date[])`,
          ];
    const end = new Date(to.getTime() - 1);
    const [firstMonth, lastMonth] = [monthOf(from), monthOf(end)];
    if (firstMonth.getTime() === lastMonth.getTime())
      return range([firstMonth], from.getUTCDate(), end.getUTCDate()).join();
    const between: Date[] = [];
    for (let month = nextMonth(firstMonth); month < lastMonth; month = nextMonth(month)) between.push(month);
    return [
      ...range([firstMonth], from.getUTCDate(), 31),
      ...range(between, 1, 31),
      ...range([lastMonth], 1, end.getUTCDate()),
    ].join(' UNION ALL ');
  }

  private joined(table: string): string {
    return this.deep
      ? `${table} u JOIN usage_series s ON s.id = u.series JOIN usage_subject j ON j.id = u.subject`
      : `${table} u`;
  }

  private column(place: Place): string {
    if (!this.deep) return `u.${place}`;
    if (place === 'environment' || place === 'region') return `s.${place}`;
    return place === 'subscription' ? `nullif(j.subscription, '${NO_SUBSCRIPTION}')` : `j.${place}`;
  }

  private conditions(): string[] {
    return Object.entries(this.ask.filters).map(([place, value]) => {
      const column = place === 'subscription' ? 'j.subscription' : this.column(place as Place);
      return `${column} = ${this.parameter(value)}`;
    });
  }

  /** What rows of one place are sorted by; a subscription by the number that its rows are stored by. */
  private keys(): Key[] {
    return [
      ...(this.bySubject ? [{ sql: 'j.id', type: 'integer' }] : []),
      ...this.ownPlaces.map((place) => ({
        sql: place === 'application' ? `coalesce(j.application::text, '')` : this.column(place),
        type: 'text',
      })),
    ];
  }

  private grouped(): string[] {
    return [...(this.bySubject ? ['j.id'] : []), ...this.ownPlaces.map((place) => this.column(place))];
  }

  private labels(): [name: string, sql: string][] {
    return PLACES.filter((place) => this.shows(place)).map((place) => [place, this.column(place)]);
  }

  private labelColumns(): string[] {
    return this.labels().map(([name, sql]) => `${sql} AS ${name}`);
  }
}

const isOfSubject = (place: Place): boolean => place === 'subscription' || place === 'application' || place === 'api';
const timestamp = (at: Date): string => at.toISOString().replace('Z', '');
