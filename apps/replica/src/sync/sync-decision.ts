import type { SyncState } from '#model';
import { NEAR, type SourceSync, type Sync, type SyncEffect } from './sync.js';

/** A stream whose master names a revision, and does not bring it for so long, is given up. */
const STALLED_MS = 15_000;
/** One that was asked, and answers so late, holds nothing up. */
const ANSWERS_MS = 2000;
const CATCHING_UP: ReadonlySet<SyncEffect['kind']> = new Set(['fetch-revision', 'catch-up', 'repair', 'apply']);
/** with nothing to wait for */
const IDLE_MS = 60_000;

/** What is done next, and the state that this is: both follow from what is known. */
export function decide(sync: Sync, now: number): { state: SyncState; effect: SyncEffect } {
  const effect = next(sync, now);
  return { effect, state: stateOf(sync, effect) };
}

function next(sync: Sync, now: number): SyncEffect {
  const { hand, revision, stream } = sync;
  if (hand !== null)
    return now >= sync.applyAt ? { kind: 'apply', revision: revision + 1 } : wait(sync, now, [sync.applyAt]);
  if (stream.link === 'bad' && stream.drop) return { kind: 'drop-stream', ...stream.drop };
  if (stream.link === 'lost') return { kind: 'refollow' };
  if (stream.link === 'following') {
    if (stream.waiting > 0) return { kind: 'take-pushed' };
    if (isStalled(sync, now)) {
      const detail = `the stream does not bring revision ${revision + 1}, although a head names ${sync.head}`;
      return { kind: 'drop-stream', code: 'stream_stalled', detail, holdMs: 0 };
    }
  }
  const pulled = pulls(sync, now) && now >= sync.applyAt ? pull(sync, now) : null;
  return pulled ?? mend(sync, now) ?? look(sync, now) ?? wait(sync, now, []);
}

/** Whether revisions are to be fetched: something is missing, and it does not come by itself. */
function pulls({ damage, head, probing, revision, stream }: Sync, now: number): boolean {
  if (stream.link === 'following' || (stream.link === 'asked' && now - stream.movedAt < ANSWERS_MS)) return false;
  return head > revision || probing !== null || damage === 'suspected';
}

function pull(sync: Sync, now: number): SyncEffect | null {
  const { damage, head, probing, revision, sources } = sync;
  const wanted = head > revision || damage === 'suspected';
  const source = wanted ? sources.findIndex(({ fetchAt }) => fetchAt <= now) : (probing ?? -1);
  const chosen = sources[source];
  if (!chosen || chosen.fetchAt > now) return null;
  if (damage === 'suspected') return { kind: 'repair', source };
  if (head - revision > NEAR || (chosen.jumps && head > revision)) return { kind: 'catch-up', source, until: head };
  return { kind: 'fetch-revision', source, revision: revision + 1, until: Math.max(head, revision + 1) };
}

/** Each time from another source: what one does not have the next one may. */
function mend({ mend: due, sources }: Sync, now: number): SyncEffect | null {
  if (due === null || now < due.at || sources.length === 0) return null;
  return { kind: 'mend', source: due.tries % sources.length };
}

function look({ lookAt, sources }: Sync, now: number): SyncEffect | null {
  if (now < lookAt) return null;
  const source = sources.findIndex((one) => one.lookAt <= now);
  return source < 0 ? null : { kind: 'fetch-head', source };
}

function isStalled({ head, revision, stream }: Sync, now: number): boolean {
  return head > revision && now - stream.movedAt >= STALLED_MS;
}

/** Until the first thing that may become possible. */
function wait(sync: Sync, now: number, times: number[]): SyncEffect {
  if (times.length === 0) {
    const first = (of: (one: SourceSync) => number): number => Math.min(...sync.sources.map(of));
    times.push(
      now + IDLE_MS,
      Math.max(
        sync.lookAt,
        first(({ lookAt }) => lookAt),
      ),
    );
    if (pulls(sync, now))
      times.push(
        Math.max(
          sync.applyAt,
          first(({ fetchAt }) => fetchAt),
        ),
      );
    if (sync.mend) times.push(sync.mend.at);
    if (sync.stream.link === 'asked' && now - sync.stream.movedAt < ANSWERS_MS)
      times.push(sync.stream.movedAt + ANSWERS_MS);
    if (sync.stream.link === 'following' && sync.head > sync.revision) times.push(sync.stream.movedAt + STALLED_MS);
  }
  return { kind: 'wait', ms: Math.max(1, Math.ceil(Math.min(...times) - now)) };
}

function stateOf(sync: Sync, effect: SyncEffect): SyncState {
  const { faults, head, revision, sources, state, stream } = sync;
  if (faults.revision?.code === 'reader_too_old') return 'halted';
  if (stream.link === 'following') return state === 'live' || head <= revision ? 'live' : 'catching-up';
  if (CATCHING_UP.has(effect.kind)) return 'catching-up';
  const isAlone = sources.every(({ answers }) => answers === false);
  if (isAlone && (stream.link === 'none' || stream.link === 'down' || stream.link === 'bad'))
    return sources.length > 0 || faults.stream ? 'isolated' : 'booting';
  if (head > revision) return state === 'booting' ? 'booting' : 'catching-up';
  if (sources.some(({ answers }) => answers)) return 'polling';
  return state === 'booting' || state === 'isolated' ? state : 'polling';
}
