import type { components } from '../api/schema.js';
import { textOf } from '../output/render.js';
import type { Style, Tone } from '../output/style.js';
import { ageOf } from '../resources/columns.js';

export type Promotion = components['schemas']['Promotion'];

/** What has happened, as one line. */
export interface Step {
  at: string;
  state: string;
  text: string;
}

const TONES: Record<string, Tone> = {
  completed: 'green',
  'rolling-back': 'red',
  'rolled-back': 'red',
  rejected: 'red',
  paused: 'yellow',
};
const MOST_STEPS = 12;

/** A promotion while it goes. @param now milliseconds since 1970 */
export function promotionScreen(promotion: Promotion, steps: readonly Step[], style: Style, now: number): string {
  const { id, kind, to, releases, state, since, waves, wave, gates, waitsFor, because, approvals } = promotion;
  const paint = TONES[state];
  const lines = [
    `${style.bold(kind)} ${id} of ${releases.map(({ api, release }) => `${api}@${release.slice(0, 12)}`).join(', ')} to ${to}`,
    `${paint ? style[paint](state) : style.bold(state)} for ${ageOf(since, now)}${approvals.needed > 0 ? `, ${approvals.by.length} of ${approvals.needed} approvals` : ''}`,
    '',
    ...waves.map(({ regions, soak }, at) => {
      const [mark, tone] = markOf(at + 1, wave, state);
      return `  ${style[tone](mark.padEnd(8))} wave ${at + 1}  ${regions.join(', ')}  (soaks ${soak} s)`;
    }),
    '',
    `gates: acknowledged in ${gates.acknowledgedWithin} s, ${gates.minRequests} requests, up to ${(100 * gates.maxErrorShare).toFixed(1)}% errors, p95 up to ${gates.p95Factor} times as long`,
    ...(waitsFor ? [`waits for: ${waitsFor}`] : []),
    ...(because ? [`because: ${style.yellow(textOf(because.detail))}`] : []),
    '',
    ...steps.slice(-MOST_STEPS).map(({ at, text }) => `  ${style.dim(at.slice(11, 19))}  ${text}`),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function markOf(number: number, wave: number, state: string): [string, Tone] {
  if (number > wave) return ['-', 'dim'];
  if (state === 'rolling-back' || state === 'rolled-back') return ['back', 'red'];
  if (number < wave || state === 'completed') return ['done', 'green'];
  return [state, 'cyan'];
}
