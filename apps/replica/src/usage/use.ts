import { type UsageReport } from '#model';

/** What was counted in one hour of a subscription, or an open API; or that a key, or a client, was used in it. */
export interface Use {
  series: string;
  /** since 1970 */
  hour: number;
  kind: 'count' | 'key' | 'client';
  /** the subscription, the API where it is open, or what the chain names the credential by */
  id: string;
  application: string | null;
  api: string | null;
  /** admitted, refused by the rate, by the quota; of a credential 1 is the whole story */
  counts: readonly [number, number, number];
}

const KINDS = { count: 'c', key: 'k', client: 'o' } as const;

/** Sorts by hour. */
export function nameOf({ hour, series, kind, id }: Pick<Use, 'hour' | 'series' | 'kind' | 'id'>): string {
  return `${hourName(hour)}${series}${KINDS[kind]}${id}`;
}

export const hourName = (hour: number): string => String(hour).padStart(8, '0');

export const sumOf = ({ counts: [a, r, q] }: Pick<Use, 'counts'>): number => a + r + q;

/** @param uses of one series and hour, as many as a report may have */
export function reportOf(uses: readonly Use[]): UsageReport {
  const [first] = uses;
  if (!first) throw new Error('a report is of something');
  const ids = (kind: Use['kind']): string[] => uses.filter((use) => use.kind === kind).map(({ id }) => id);
  return {
    series: first.series,
    hour: first.hour,
    counts: uses
      .filter(({ kind }) => kind === 'count')
      .map(({ id, application, api, counts: [admitted, rateLimited, quotaExhausted] }) => ({
        subscription: application === null ? null : id,
        application,
        api: (api ?? id) as UsageReport['counts'][number]['api'],
        admitted,
        rateLimited,
        quotaExhausted,
      })),
    keys: ids('key'),
    clients: ids('client'),
  };
}
