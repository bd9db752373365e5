import type { components } from '../api/schema.js';
import { table, textOf } from '../output/render.js';
import type { Style, Tone } from '../output/style.js';
import { ageOf } from '../resources/columns.js';

export type SystemStatus = components['schemas']['SystemStatus'];
type Environment = SystemStatus['environments'][number];
type Replica = Environment['regions'][number]['replicas'][number];

/** Replicas report every 5 s. */
const SILENT_SECONDS = 10;
const OUTBOX_SECONDS = 5;

interface Title<T> {
  title: string;
  of: (item: T) => unknown;
  tone?: (item: T) => Tone | false | undefined;
  wide?: boolean;
}

interface Place {
  region: string;
  environment: string;
  /** null: the region has none */
  replica: Replica | null;
}

/** Everything on one screen. @param wide with what is seldom wanted */
export function statusScreen(status: SystemStatus, style: Style, wide: boolean): string {
  const now = Date.parse(status.at);
  const { environments } = status;
  const places = environments.flatMap(({ id: environment, regions }) =>
    regions.flatMap(({ id: region, replicas }): Place[] =>
      replicas.length === 0
        ? [{ region, environment, replica: null }]
        : replicas.map((replica) => ({ region, environment, replica })),
    ),
  );
  const promotions = environments.flatMap(({ id, promotions: open }) => open.map((one) => ({ ...one, to: id })));
  const parts = [
    rows(ENVIRONMENTS, environments, style, wide),
    ...(places.length > 0 ? [rows(PLACES, places, style, wide)] : []),
    ...(promotions.length > 0 ? [rows(promotionTitles(now), promotions, style, wide)] : []),
  ];
  return `${parts.join('\n')}${problemsOf(environments, style)}`;
}

const ENVIRONMENTS: Title<Environment>[] = [
  { title: 'ENVIRONMENT', of: ({ id }) => id },
  { title: 'STATE', of: ({ state }) => state, tone: ({ state }) => (state === 'publishing' ? 'green' : 'red') },
  { title: 'HEAD', of: ({ revision }) => revision },
  { title: 'EPOCH', of: ({ epoch }) => epoch },
  { title: 'LEADER', of: ({ leader }) => leader },
  {
    title: 'STORED',
    of: ({ storedRevision }) => storedRevision,
    tone: ({ revision, storedRevision }) => storedRevision < revision && 'yellow',
  },
  {
    title: 'WAITING',
    of: ({ waiting, waitingSeconds }) => (waiting === 0 ? 0 : `${waiting} for ${waitingSeconds.toFixed(1)} s`),
    tone: ({ waitingSeconds }) => waitingSeconds > OUTBOX_SECONDS && 'red',
  },
];

const PLACES: Title<Place>[] = [
  { title: 'REGION', of: ({ region, environment }) => `${environment}/${region}` },
  of('REPLICA', (one) => one.id),
  of(
    'STATE',
    (one) => (one.state !== null && isSilent(one) ? `silent (${one.state})` : one.state),
    (one) =>
      isSilent(one)
        ? 'red'
        : one.state === 'live'
          ? 'green'
          : one.state === 'halted' || one.state === 'isolated'
            ? 'red'
            : 'yellow',
  ),
  of('REVISION', (one) => one.revision),
  of('BEHIND', behindOf, (one) => (one.behind ?? 0) > 0 && 'yellow'),
  of('LAG', (one) => millis(one.lagMs)),
  of('SOURCE', (one) => one.source),
  of(
    'FRESH',
    (one) => one.freshness,
    (one) => one.freshness === 'stale' && 'red',
  ),
  of(
    'NACKS',
    (one) => one.nacks,
    (one) => one.nacks > 0 && 'red',
  ),
  of('LIMITS', (one) => one.throttle),
  of('REQ/S', (one) => one.traffic?.requestsPerSecond),
  of('5XX/S', fiveHundreds, (one) => (one.traffic?.errorsPerSecond ?? 0) > 0 && 'red'),
  of(
    'HEARD',
    (one) => (one.silentForSeconds === null ? 'never' : `${Math.round(one.silentForSeconds)}s`),
    (one) => isSilent(one) && 'red',
  ),
  of(
    'ROOT',
    (one) => (one.rootMatches === null ? 'unknown' : one.rootMatches ? 'right' : 'WRONG'),
    (one) => one.rootMatches === false && 'red',
    true,
  ),
  of('BUILD', (one) => one.build, undefined, true),
  of('MASTER', (one) => one.connectedTo, undefined, true),
  of('ERROR', (one) => one.lastError && `${one.lastError.code}: ${one.lastError.detail}`, undefined, true),
];

type OpenPromotion = Environment['promotions'][number] & { to: string };

function promotionTitles(now: number): Title<OpenPromotion>[] {
  return [
    { title: 'PROMOTION', of: ({ id }) => id },
    { title: 'TO', of: ({ to }) => to },
    { title: 'APIS', of: ({ apis }) => apis },
    { title: 'STATE', of: ({ state }) => state, tone: ({ state }) => state === 'rolling-back' && 'red' },
    { title: 'WAVE', of: ({ wave, waves }) => `${wave}/${waves}` },
    { title: 'SINCE', of: ({ since }) => ageOf(since, now) },
  ];
}

function of(
  title: string,
  value: (replica: Replica) => unknown,
  tone?: (replica: Replica) => Tone | false | undefined,
  wide?: boolean,
): Title<Place> {
  return {
    title,
    of: ({ replica }) => (replica ? value(replica) : title === 'REPLICA' ? 'none' : null),
    tone: ({ replica }) => replica !== null && tone?.(replica),
    wide,
  };
}

/** What it said last may be true no more. */
function isSilent({ silentForSeconds }: Replica): boolean {
  return (silentForSeconds ?? Number.POSITIVE_INFINITY) > SILENT_SECONDS;
}

function behindOf({ behind, behindMs }: Replica): string | null {
  if (behind === null) return null;
  return behind === 0 ? '0' : `${behind} (${millis(behindMs)})`;
}

/** With their share, as that is what matters. */
function fiveHundreds({ traffic }: Replica): string | null {
  if (!traffic) return null;
  const { errorsPerSecond: errors, requestsPerSecond: all } = traffic;
  return errors > 0 && all > 0 ? `${errors} (${((100 * errors) / all).toFixed(1)}%)` : String(errors);
}

function millis(ms: number | null): string {
  if (ms === null) return '-';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 120_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 60_000)} min`;
}

function rows<T>(all: readonly Title<T>[], items: readonly T[], style: Style, wide: boolean): string {
  const titles = all.filter((title) => wide || !title.wide);
  return table(
    titles.map(({ title }) => style.bold(title)),
    items.map((item) =>
      titles.map(({ of: value, tone }) => {
        const text = textOf(value(item));
        const paint = tone?.(item);
        return paint ? style[paint](text) : text;
      }),
    ),
  );
}

function problemsOf(environments: readonly Environment[], style: Style): string {
  const lines = environments.flatMap(({ id, problem, regions }) => [
    ...(problem === null ? [] : [`${id}: ${problem}`]),
    ...regions.flatMap(({ replicas }) =>
      replicas
        .filter(({ rootMatches }) => rootMatches === false)
        .map(({ id: one }) => `${one}: its state is not that of its revision`),
    ),
  ]);
  return lines.length === 0 ? '' : `\n${lines.map((line) => `${style.red('!')} ${textOf(line)}\n`).join('')}`;
}
