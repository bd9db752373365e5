import type { Promotion } from './asked.js';
import { WAVES } from './asked.js';
import type { Traffic } from './traffic.js';
import { type PromotionWorld, REGIONS } from './world.js';

export interface Judged {
  /** milliseconds of the clock of this machine */
  began: number;
  ended: number;
  state: string;
  /** what is not as it would have been; it begins with what kind of fault it is */
  faults: string[];
}

interface Event {
  /** `rolling start 1` */
  what: string;
  at: number;
}

/** What was placed by the waves that began, and back again. */
const FORWARD = [
  'approved create 0',
  'rolling start 1',
  'soaking acknowledged 1',
  'rolling passed 2',
  'soaking acknowledged 2',
];

/** What there is to say of one that has ended, by its events, by the audit log, and by what callers have seen. */
export async function judge(world: PromotionWorld, traffic: Traffic, promotion: Promotion): Promise<Judged> {
  const events = await eventsOf(world, promotion.id);
  const [first, last] = [events[0], events.at(-1)];
  const state = last?.what.split(' ')[0] ?? 'none';
  const begun = Math.max(
    0,
    ...events.map(({ what }) => (what.startsWith('rolling ') ? Number(what.split(' ')[2]) : 0)),
  );
  const faults = [
    ...wrongSteps(
      promotion,
      events.map(({ what }) => what),
    ),
    ...(await wrongPlacings(world, promotion, begun, state)),
    ...(await wrongAnswers(world, traffic, promotion, events, state)),
  ];
  return { began: first?.at ?? 0, ended: last?.at ?? 0, state, faults };
}

async function eventsOf(world: PromotionWorld, id: string): Promise<Event[]> {
  const { rows } = await world.pool.query(
    `SELECT split_part(type, '.', 2) || ' ' || (data->>'input') || ' ' || (data->>'wave') AS what, extract(epoch FROM at)::float8 * 1000 AS at
     FROM event WHERE subject = 'promotion/' || $1 ORDER BY written`,
    [id],
  );
  return rows as Event[];
}

/** P1: it ends as it would have. */
function wrongSteps({ kind, aborted }: Promotion, events: readonly string[]): string[] {
  const text = events.join(', ');
  const wanted = [...FORWARD, 'completed passed 2'];
  if (kind === 'answers 500') wanted.splice(3, 3, 'rolling-back failed 1', 'rolled-back restored 1');
  if (aborted) {
    const at = events.findIndex((event) => event.includes(' abort '));
    const wave = events[at]?.split(' ')[2];
    const end = wave === '0' ? ['rejected abort 0'] : [`rolling-back abort ${wave}`, `rolled-back restored ${wave}`];
    wanted.splice(at, wanted.length, ...end);
  }
  return text === wanted.join(', ') ? [] : [`wrong: it went ${text}`];
}

/** P1: each region got each placement once, and lost it once. */
async function wrongPlacings(
  world: PromotionWorld,
  { id, apis }: Promotion,
  begun: number,
  state: string,
): Promise<string[]> {
  const { rows } = await world.pool.query(
    `SELECT target, count(*)::int AS count FROM audit WHERE action LIKE 'placement.%'
     AND xid IN (SELECT xid FROM audit WHERE target = 'promotion/' || $1) GROUP BY target`,
    [id],
  );
  const found = new Map((rows as { target: string; count: number }[]).map(({ target, count }) => [target, count]));
  const faults: string[] = [];
  for (const { api } of apis) {
    for (const region of REGIONS) {
      const target = `placement/prod/${api}/${region}`;
      const wanted = waveOf(region) > begun ? 0 : state === 'completed' ? 1 : 2;
      const count = found.get(target) ?? 0;
      found.delete(target);
      if (count > wanted) faults.push(`doubled: ${target} was written ${count} times, and not ${wanted}`);
      if (count < wanted) faults.push(`wrong: ${target} was written ${count} times, and not ${wanted}`);
    }
  }
  return [...faults, ...[...found.keys()].map((target) => `wrong: ${target} is none of its own`)];
}

/** P2, P4, P5: which release answered where, and when. */
async function wrongAnswers(
  world: PromotionWorld,
  traffic: Traffic,
  { apis }: Promotion,
  events: readonly Event[],
  state: string,
): Promise<string[]> {
  const faults: string[] = [];
  const endedAt = events.at(-1)?.at ?? 0;
  for (const { api, first, second, had } of apis) {
    for (const region of REGIONS) {
      const began = events.find(({ what }) => what.startsWith('rolling ') && what.endsWith(` ${waveOf(region)}`));
      const { answers, newFirst, newLast, oldLast } = traffic.of(api, region);
      if (answers === 0) faults.push(`wrong: nothing is known of ${api} in ${region}`);
      if (newFirst < (began?.at ?? Number.POSITIVE_INFINITY))
        faults.push(`wrong: P2 ${api} answered anew in ${region} before its wave`);
      if (state !== 'completed' && newLast > endedAt) faults.push(`wrong: P4 ${api} still answers anew in ${region}`);
      if (state === 'completed' && oldLast > endedAt)
        faults.push(`wrong: P5 ${api} still answers as before in ${region}`);
      const { rows } = await world.pool.query(
        `SELECT encode(digest, 'hex') AS digest FROM placement WHERE environment_id = 'prod' AND api_id = $1 AND region = $2`,
        [api, region],
      );
      const before = had.includes(region) ? first : undefined;
      if (rows[0]?.digest !== (state === 'completed' ? second : before))
        faults.push(`wrong: P5 ${api} in ${region} is ${rows[0]?.digest}`);
    }
  }
  return faults;
}

function waveOf(region: string): number {
  return WAVES.findIndex((regions) => (regions as readonly string[]).includes(region)) + 1;
}
