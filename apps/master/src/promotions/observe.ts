import type { Query } from '../publishing/options.js';
import { describeFinding, judge, type Verdict } from './gates.js';
import type { PromotionInput } from './promotion-machine.js';
import { type Because, type PromotionRow, waveOf } from './promotion-row.js';
import type { ReleaseNumbers } from './release-numbers.js';
import { placedBefore } from './serves-before.js';
import { numbersOfWave } from './wave-numbers.js';
import { type RevisionOf, standingOfWave, type WaveStanding } from './wave-replicas.js';

/** What a promotion does next by itself; or why it waits, and when it is to be looked at again. */
export type Observation = { input: PromotionInput; because: Because | null } | { waitMs: number; detail: string };

export interface ObserveSources {
  query: Query;
  numbers: ReleaseNumbers;
  revisionOf: RevisionOf;
}

/** Replicas acknowledge within 0.1 s where all is well; numbers come every five seconds. */
const LOOK_MS = { soon: 25, late: 250, watched: 1_000, numbers: 2_000 };
/** Past this, a wave that is not acknowledged by all is watched in the regions that have it. */
const WATCHED_MS = 5_000;
const MOST_NAMED = 20;

/** Looks, and changes nothing. Null: it waits for people, or has ended. */
export async function observe(sources: ObserveSources, row: PromotionRow): Promise<Observation | null> {
  if (row.state === 'approved') return begin(sources, row);
  if (row.state === 'rolling') return acknowledged(sources, row);
  if (row.state === 'soaking') return soaked(sources, row);
  if (row.state === 'rolling-back') return restored(sources, row);
  return null;
}

/** What was approved may have been taken back where it was tested. */
async function begin(sources: ObserveSources, row: PromotionRow): Promise<Observation> {
  const fault = row.skip ? null : await placedBefore(sources.query, row.environmentBefore, row.releases);
  return fault === null
    ? { input: 'start', because: null }
    : { input: 'failed', because: { detail: fault, actor: null, gate: 'placement' } };
}

async function acknowledged(sources: ObserveSources, row: PromotionRow): Promise<Observation> {
  const looked = await standing(sources, row, waveOf(row)?.regions ?? []);
  if (looked === 'unpublished') return { waitMs: lookAgainMs(row), detail: 'its revision is being published' };
  const refused = refusal(looked);
  if (refused) return refused;
  if (looked.missing.length === 0) return { input: 'acknowledged', because: null };
  const detail = missingText(looked);
  if (row.stateAgeMs >= row.gates.acknowledgedWithin * 1000) {
    const late = `${detail}, after ${row.gates.acknowledgedWithin} s`;
    return { input: 'failed', because: { detail: late, actor: null, gate: 'acknowledged', ...named(looked) } };
  }
  if (row.stateAgeMs < WATCHED_MS) return { waitMs: lookAgainMs(row), detail };
  const time = { ageMs: row.stateAgeMs, soaked: false };
  const failed = failure(row, judge(row.gates, await numbersOfWave(sources.query, sources.numbers, row), time));
  return failed ?? { waitMs: LOOK_MS.watched, detail };
}

async function soaked(sources: ObserveSources, row: PromotionRow): Promise<Observation> {
  const wave = waveOf(row);
  const looked = await standing(sources, row, wave?.regions ?? []);
  const refused = looked === 'unpublished' ? null : refusal(looked);
  if (refused) return refused;
  const leftMs = (wave?.soak ?? 0) * 1000 - row.stateAgeMs;
  const time = { ageMs: row.stateAgeMs, soaked: leftMs <= 0 };
  const verdict = judge(row.gates, await numbersOfWave(sources.query, sources.numbers, row), time);
  const failed = failure(row, verdict);
  if (failed) return failed;
  if (leftMs > 0)
    return { waitMs: Math.min(LOOK_MS.numbers, leftMs), detail: `it soaks for another ${Math.ceil(leftMs / 1000)} s` };
  if (verdict.is === 'waits') return { waitMs: LOOK_MS.numbers, detail: verdict.detail };
  return { input: 'passed', because: null };
}

function failure(row: PromotionRow, verdict: Verdict): Observation | null {
  if (verdict.is !== 'failed') return null;
  const { finding } = verdict;
  const regions = finding.region === null ? waveOf(row)?.regions : [finding.region];
  const because = { detail: describeFinding(finding), actor: null, gate: finding.gate, regions, finding };
  return { input: 'failed', because };
}

/** A replica that cannot be reached does not hold it open for ever: what it serves is what it was told last. */
async function restored(sources: ObserveSources, row: PromotionRow): Promise<Observation> {
  const changed = await sources.query<{ region: string }>(
    'SELECT DISTINCT region FROM promotion_change WHERE promotion_id = $1 AND before IS DISTINCT FROM after',
    [row.id],
  );
  const looked = await standing(
    sources,
    row,
    changed.map(({ region }) => region),
  );
  if (looked === 'unpublished') return { waitMs: lookAgainMs(row), detail: 'its revision is being published' };
  if (looked.missing.length === 0) return { input: 'restored', because: row.because };
  const detail = missingText(looked);
  if (row.stateAgeMs < row.gates.acknowledgedWithin * 1000) return { waitMs: lookAgainMs(row), detail };
  const why = row.because?.detail ?? 'it was rolled back';
  return { input: 'restored', because: { ...row.because, actor: null, detail: `${why}; ${detail}`, ...named(looked) } };
}

/** The longer it has waited, the more seldom: so it is late by a third of that at the most. */
function lookAgainMs({ stateAgeMs }: PromotionRow): number {
  return Math.min(LOOK_MS.late, Math.max(LOOK_MS.soon, Math.ceil(stateAgeMs / 3)));
}

async function standing(
  { query, revisionOf }: ObserveSources,
  { xid, environment, releases }: PromotionRow,
  regions: readonly string[],
): Promise<WaveStanding | 'unpublished'> {
  const revision = xid === null ? 0 : await revisionOf(xid, environment, query); // 0: it was all there already, and everybody has it
  return revision === null ? 'unpublished' : standingOfWave(query, environment, regions, releases, revision);
}

function refusal({ refusing }: WaveStanding): Observation | null {
  const [first] = refusing;
  if (!first) return null;
  const { nack, replica, region } = first;
  return {
    input: 'failed',
    because: {
      detail: `${replica} cannot use the ${nack.table} ${nack.key}: ${nack.code}, ${nack.detail}`,
      actor: null,
      gate: 'nack',
      regions: [region],
      replicas: [replica],
    },
  };
}

function missingText({ missing, replicas }: WaveStanding): string {
  const names = missing.slice(0, MOST_NAMED).map(({ replica, revision }) => `${replica} is at ${revision}`);
  return `${missing.length} of ${replicas} replicas have not acknowledged it: ${names.join(', ')}`;
}

function named({ missing }: WaveStanding): Pick<Because, 'regions' | 'replicas'> {
  const some = missing.slice(0, MOST_NAMED);
  return { regions: [...new Set(some.map(({ region }) => region))], replicas: some.map(({ replica }) => replica) };
}
