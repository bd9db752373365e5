import type { Promotion } from './promote.js';
import type { Stage } from './stages.js';
import type { RegionTraffic } from './traffic.js';

/** What happens now, for a pipe: one line. */
export function lineOf(
  stage: Stage | undefined,
  promotion: Promotion | undefined,
  regions: readonly RegionTraffic[],
): string {
  const answers = regions.map(({ id, release, second }) => {
    const others = second.other > 0 ? `/${second.other}` : '';
    return `${id} ${release ?? '-'} ${second.good}/${second.failed}${others}`;
  });
  const now = stage === undefined ? '' : `${stage.to} ${standing(promotion)}; `;
  return `${now}release, good/5xx a second: ${answers.join(', ')}`;
}

/** The same for a terminal. */
export function screenOf(
  stages: readonly Stage[],
  promotions: ReadonlyMap<string, Promotion>,
  regions: readonly RegionTraffic[],
): string[] {
  const width = Math.max(...stages.map(({ to }) => to.length));
  const head = [
    'region'.padEnd(12),
    'environment ',
    'release',
    '  good/s',
    '   5xx/s',
    '     good',
    '     5xx',
    '  other',
  ];
  return [
    ...stages.map(({ to }) => `  ${to.padEnd(width)}  ${standing(promotions.get(to))}`),
    '',
    `  ${head.join('')}`,
    ...regions.map(({ id, environment, release, second, total }) => {
      const counts = [pad(release ?? '-', 7), pad(second.good, 8), pad(second.failed, 8)];
      const totals = [pad(total.good, 9), pad(total.failed, 8), pad(total.other, 7)];
      return `  ${id.padEnd(12)}${environment.padEnd(12)}${[...counts, ...totals].join('')}`;
    }),
  ];
}

/** What has changed, in a sentence; null: nothing that is worth one. */
export function newsOf(stage: Stage, { state, wave, waves, because }: Promotion): string | null {
  const regions = waves[wave - 1]?.regions.join(' and ');
  const which = waves.length > 1 ? `wave ${wave} of ${waves.length}, ` : '';
  switch (state) {
    case 'rolling':
      return `${stage.to}: ${which}the release goes to ${regions}`;
    case 'soaking':
      return `${stage.to}: ${which}acknowledged in ${regions}; the gates look at what it answers`;
    case 'rolling-back':
      return `${stage.to}: going back${why(because)}`;
    case 'rolled-back': // the way back may be shorter than the time between two looks: the reason is said again
      return `${stage.to}: rolled back, its replicas have what they had before${why(because)}`;
    case 'requested':
    case 'approved':
      return null;
    default:
      return `${stage.to}: ${state}${because ? `: ${because.detail}` : ''}`;
  }
}

function why(because: Promotion['because']): string {
  return `${because?.gate ? `, by the gate "${because.gate}"` : ''}${because ? `: ${because.detail}` : ''}`;
}

function standing(promotion: Promotion | undefined): string {
  if (!promotion) return '-';
  const { state, wave, waves, waitsFor, because } = promotion;
  const where =
    waves.length > 1 && wave > 0 ? `, wave ${wave} of ${waves.length} (${waves[wave - 1]?.regions.join(', ')})` : '';
  const why = waitsFor ?? because?.detail;
  return `${state}${where}${why ? `: ${why}` : ''}`;
}

function pad(value: string | number, width: number): string {
  return `${value}`.padStart(width);
}
