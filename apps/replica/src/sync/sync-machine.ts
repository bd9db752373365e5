import { BUCKETS } from '#artifacts';
import { backoffMs, jittered } from '#platform';
import {
  BEGINNING,
  type FaultKey,
  type Link,
  type Moment,
  NEAR,
  type Origin,
  type SourceSync,
  type Step,
  STREAM_BEGINNING,
  type StreamSync,
  type Sync,
  type SyncEvent,
  type SyncFault,
  type SyncTimes,
} from './sync.js';
import { changed, linked, whole, without, wrong } from './sync-changes.js';
import { decide } from './sync-decision.js';

/** Asking again for what was refused costs up to a whole revision: it gets slower. */
const MAX_RETRY_MS = 30_000;
/** of the time between two looks: a source that does not answer is asked less and less often */
const MAX_POLLS = 15;
const JITTER = 0.1;
/** Each try reads the whole state and holds revisions up meanwhile. */
const MEND_AGAIN_MS = 60_000;
const MAX_MEND_AGAIN_MS = 3_600_000;
/** A gap in what the stream gives is closed by asking it anew; if that does not help, by another master. */
const LOSES_THREAD: ReadonlySet<string> = new Set(['wrong_revision', 'wrong_previous']);
const MAX_LOST = 2;

type Reducer<K extends SyncEvent['kind']> = (
  sync: Sync,
  event: Extract<SyncEvent, { kind: K }>,
  at: Moment,
  times: SyncTimes,
) => Sync;

type Refused = Extract<SyncEvent, { kind: 'revision-refused' }>;

/** What each event changes in what is known. */
const ON: { [K in SyncEvent['kind']]: Reducer<K> } = {
  booted: (_sync, { head, revision, sources, streams }, { now }) => ({
    ...BEGINNING,
    since: now,
    revision,
    head,
    sources: Array.from({ length: sources }, () => ({
      answers: null,
      failures: 0,
      lookAt: 0,
      fetchAt: 0,
      jumps: false,
    })),
    stream: { ...STREAM_BEGINNING, link: streams ? 'down' : 'none' },
  }),

  'head-seen': (sync, { fresh, head, source }, at, times) => {
    const seen: Sync = { ...sync, head: Math.max(sync.head, head), stream: dueAt(sync, head, at.now) };
    const frozen = { code: 'frozen', detail: 'the newest head that it has was not signed again and has expired' };
    if (source === 'stream') {
      const told = fresh ? without(seen, 'stream') : wrong(seen, 'stream', frozen, at);
      // told to look elsewhere by a master that has what is asked for by now
      return told.stream.link === 'elsewhere' && isNear(told, head) ? linked(told, 'lost') : told;
    }
    const period = jittered(periodOf(sync, times), JITTER, () => at.random);
    // Behind a source that has nothing fresh the next one is looked at before this look is over.
    const looked = fresh ? { ...seen, lookAt: at.now + period } : seen;
    const level = looked.head <= looked.revision;
    const one: Partial<SourceSync> = { answers: true, ...(fresh ? {} : { lookAt: at.now + period }) };
    const asked = changed(looked, source, level ? { ...one, failures: 0 } : one);
    const clear = without(asked, `head ${source}`);
    // A source that has a head may still not have the revision: that it answers is proven by the next one applied.
    const told = fresh ? forgetting(clear, source) : wrong(clear, `head ${source}`, frozen, at);
    return level ? without({ ...told, probing: null }, `source ${source}`, 'revision') : told;
  },

  'head-refused': (sync, { code, detail, source }, at, times) => ({
    ...failing(wrong(sync, `head ${source}`, { code, detail }, at), source, at, times, 'look'),
    probing: code === 'untrusted_key' ? source : sync.probing,
  }),

  'source-failed': (sync, { code, detail, source }, at, times) =>
    failing(wrong(sync, `source ${source}`, { code, detail }, at), source, at, times, 'all'),

  'revision-fetched': (sync, { revisions, source }) => {
    const taken: Sync = { ...sync, hand: source };
    if (source !== 'stream') return changed(taken, source, { answers: true });
    return { ...taken, stream: { ...sync.stream, waiting: Math.max(0, sync.stream.waiting - revisions) } };
  },

  'revision-applied': (sync, { left, revision }, at) => {
    const there = arrived(sync, sync.hand ?? 'stream', revision, at);
    return left > 0 ? { ...there, hand: sync.hand } : there;
  },
  'caught-up': (sync, { revision, source }, at) => arrived(sync, source, revision, at),
  repaired: (sync, { damaged, revision, source }, at, times) => {
    if (damaged > 0) return arrived(whole(sync), source, revision, at);
    // It is as it should be, so it was the revision: that is refused until another one comes.
    return failing({ ...whole(sync), damage: 'excluded' }, source, at, times, 'fetch');
  },

  'damage-found': (sync, { buckets }, at) => {
    if (sync.mend) return sync;
    const detail = `${buckets} of ${BUCKETS} parts of the state on the disk are not what was written`;
    return { ...wrong(sync, 'state', { code: 'state_damaged', detail }, at), mend: { tries: 0, at: 0 } };
  },
  mended: (sync, { revision, source }, at) => arrived(whole(sync), source, revision, at),
  'mend-failed': (sync, { code, detail }, at) => {
    const fault = { code: 'state_damaged', detail: `the state on the disk could not be mended: ${code}: ${detail}` };
    const tries = sync.mend?.tries ?? 0;
    const ms = backoffMs(tries, MEND_AGAIN_MS, MAX_MEND_AGAIN_MS, () => at.random);
    return { ...wrong(sync, 'state', fault, at), mend: { tries: tries + 1, at: at.now + ms } };
  },

  'revision-refused': (sync, event, at, times) => {
    const { code, decided = false, detail, source } = event;
    const halted = sync.faults.revision?.code === 'reader_too_old';
    // Nobody has said that there is one more, this was only tried.
    const tried = code === 'revision_missing' && sync.head <= sync.revision;
    const expected = halted || tried || isOfRetiredKey(sync, event);
    const refused = expected ? sync : wrong(sync, 'revision', { code, detail }, at);
    if (code === 'state_write_failed') {
      // Nobody's fault but this disk's: the revision stays at hand.
      const ms = backoffMs(sync.applyFailures, times.pollMs, MAX_RETRY_MS, () => at.random);
      return { ...refused, applyAt: at.now + ms, applyFailures: sync.applyFailures + 1 };
    }
    const damage = code === 'wrong_root' && sync.damage === 'none' ? 'suspected' : sync.damage;
    const empty: Sync = { ...refused, hand: null, damage };
    // Every source has the same: only another build helps. It is looked at again all the same, for it may be replaced.
    const holdMs = code === 'reader_too_old' ? MAX_RETRY_MS : 0;
    // It is signed and in its place: there is one more, whatever the heads say.
    const head = Math.max(sync.head, sync.revision + 1);
    const rested = holdMs > 0 ? { ...empty, head, applyAt: at.now + holdMs } : empty;
    if (source === 'stream') return refusedPush(rested, { code, detail, holdMs });
    // Not kept any more, or signed by a key that was retired before this replica came: a snapshot leads past it.
    const passable = code === 'revision_missing' || code === 'untrusted_key' || decided;
    const jumps = passable && !tried && !sync.sources[source]?.jumps;
    if (jumps) return changed(rested, source, { jumps });
    const after = changed(failing(rested, source, at, times, 'fetch'), source, { jumps: false });
    return sync.probing === source ? { ...after, probing: null } : after;
  },

  'stream-up': (sync, { revision }, at) => asked({ ...sync, stream: { ...sync.stream, drop: null } }, revision, at),

  'stream-intent': (sync, { fault, head, intent }, at) => {
    const passed: Link = sync.stream.askedAt === sync.revision ? 'following' : 'lost';
    const link = intent === 'full' ? 'elsewhere' : passed;
    const told = fault ? wrong(sync, 'stream', fault, at) : without(sync, 'stream');
    return { ...told, head: Math.max(sync.head, head), stream: { ...sync.stream, link, movedAt: at.now } };
  },

  'stream-pushed': (sync, { waiting }, { now }) => ({ ...sync, stream: { ...sync.stream, waiting, movedAt: now } }),

  'stream-refused': (sync, { code, detail }, at) => {
    const refused = wrong(sync, 'stream', { code, detail }, at);
    return { ...refused, stream: { ...sync.stream, link: 'bad', drop: { code, detail, holdMs: 0 } } };
  },

  'stream-down': (sync, { code, detail }, at, { pollMs }) => {
    const down = wrong(sync, 'stream', { code, detail }, at);
    if (sync.stream.link === 'down') return down;
    // The others are asked again soon, whatever came of it while they did not matter.
    const soon = Math.min(sync.lookAt, at.now + jittered(pollMs, JITTER, () => at.random));
    const sources = sync.sources.map((one) => ({ ...one, lookAt: 0, fetchAt: 0 }));
    return { ...down, lookAt: soon, sources, stream: { ...sync.stream, link: 'down', waiting: 0, drop: null } };
  },

  refollowed: (sync, { revision }, at) => asked(sync, revision, at),
  // what was asked and not waited for is not asked again for each thing that the stream brings
  interrupted: (sync, { source }, at, { pollMs }) => changed(sync, source, { lookAt: at.now + pollMs }),
  tick: (sync) => sync,
};

/**
 * The whole behaviour of a follower, for any state and event. What is done next follows from what is known, and not from
 * the event: whoever has several events hands them over one after the other, and carries out the last effect alone.
 */
export function transition(sync: Sync, event: SyncEvent, at: Moment, times: SyncTimes): Step {
  const reduce = ON[event.kind] as Reducer<typeof event.kind>;
  const { revision } = at;
  const there = revision > sync.revision ? { ...sync, revision, head: Math.max(sync.head, revision) } : sync;
  const known = reduce(there, event, at, times);
  const { effect, state } = decide(known, at.now);
  if (state === known.state) return { sync: known, effect };
  return { sync: { ...known, state, since: at.now }, effect };
}

/**
 * Who has nothing yet knows the keys of today alone, and the first revisions may be signed by one that was retired since. It is refused,
 * and no fault before the way by a snapshot was tried, too.
 */
export function isOfRetiredKey({ revision, sources }: Sync, { code, source }: Refused): boolean {
  return revision === 0 && code === 'untrusted_key' && source !== 'stream' && !sources[source]?.jumps;
}

/** The newest of what is wrong. */
export function lastFault({ faults }: Sync): SyncFault | null {
  const all = Object.values(faults).filter((fault) => fault !== undefined);
  return all.sort((a, b) => b.at - a.at)[0] ?? null;
}

function arrived(sync: Sync, source: Origin, revision: number, at: Moment): Sync {
  const there = without({ ...sync, revision, head: Math.max(sync.head, revision), hand: null }, 'revision');
  const calm: Sync = { ...there, applyAt: 0, applyFailures: 0, damage: 'none' };
  if (source === 'stream') return { ...calm, stream: { ...calm.stream, refusals: 0, movedAt: at.now } };
  const good = without(
    changed(calm, source, { answers: true, failures: 0, fetchAt: 0, jumps: false }),
    `source ${source}`,
  );
  const { link } = good.stream;
  // What the stream gives begins after where this replica stood when it asked. Where it has not answered yet, it will be seen.
  const passed = link === 'following' || (link === 'elsewhere' && isNear(good, good.head));
  return passed ? linked(good, 'lost') : good;
}

function asked(sync: Sync, revision: number, { now }: Moment): Sync {
  return { ...sync, stream: { ...sync.stream, link: 'asked', waiting: 0, askedAt: revision, movedAt: now } };
}

const isNear = ({ revision }: Sync, head: number): boolean => head >= revision && head - revision <= NEAR;

function refusedPush(sync: Sync, why: NonNullable<StreamSync['drop']>): Sync {
  const { stream } = sync;
  const refusals = stream.refusals + 1;
  // `down`: it has ended meanwhile
  if (stream.link === 'down' || stream.link === 'none') return { ...sync, stream: { ...stream, refusals } };
  if (LOSES_THREAD.has(why.code) && refusals < MAX_LOST)
    return { ...sync, stream: { ...stream, refusals, link: 'lost' } };
  return { ...sync, stream: { ...stream, refusals, link: 'bad', drop: why } };
}

function failing(sync: Sync, source: number, at: Moment, times: SyncTimes, what: 'look' | 'fetch' | 'all'): Sync {
  const before = sync.sources[source];
  if (!before) return sync;
  const maxMs = Math.max(times.pollMs, Math.min(MAX_RETRY_MS, MAX_POLLS * times.pollMs));
  const until = at.now + backoffMs(before.failures, times.pollMs, maxMs, () => at.random);
  return changed(sync, source, {
    failures: before.failures + 1,
    answers: what === 'fetch' ? before.answers : false,
    ...(what === 'fetch' ? {} : { lookAt: until }),
    ...(what === 'look' ? {} : { fetchAt: until }),
  });
}

/** What was wrong with a source is looked at again soon, as often as that source allows: it may be told no longer than it is so. */
function periodOf({ faults, sources, stream }: Sync, { pollMs, streamPollMs }: SyncTimes): number {
  const isWell = sources.every((_one, at) => !faults[`head ${at}`] && !faults[`source ${at}`]);
  return stream.link === 'following' && isWell ? streamPollMs : pollMs;
}

/** What a head names is due from the stream from now on. */
function dueAt({ head, revision, stream }: Sync, named: number, now: number): StreamSync {
  return head <= revision && named > revision ? { ...stream, movedAt: now } : stream;
}

/** Those after a source that is good are not asked: whether they answer is not known any more. */
function forgetting(sync: Sync, source: number): Sync {
  const after = sync.sources.map((_one, number) => number).filter((number) => number > source);
  const frozen = after.filter((number) => sync.faults[`head ${number}`]?.code === 'frozen');
  return without(
    sync,
    ...after.map((number): FaultKey => `source ${number}`),
    ...frozen.map((number): FaultKey => `head ${number}`),
  );
}
