import type { SyncState } from '#model';
import {
  BEGINNING,
  type SourceSync,
  STREAM_BEGINNING,
  type Sync,
  type SyncEffect,
  type SyncEvent,
} from '../sync/sync.js';

export const TIMES = { pollMs: 2000, streamPollMs: 60_000 };
export const AT = { now: 1_000_000, random: 0.5, revision: 0 };
/** One of every kind. */
export const EVENTS: { [K in SyncEvent['kind']]: Extract<SyncEvent, { kind: K }> } = {
  booted: { kind: 'booted', revision: 3, head: 5, sources: 2, streams: true },
  'head-seen': { kind: 'head-seen', source: 0, head: 5, fresh: true },
  'head-refused': { kind: 'head-refused', source: 0, code: 'bad_signature', detail: 'd' },
  'source-failed': { kind: 'source-failed', source: 0, code: 'store_unreachable', detail: 'd' },
  'revision-fetched': { kind: 'revision-fetched', source: 0, revisions: 1 },
  'revision-applied': { kind: 'revision-applied', revision: 4, left: 0 },
  'revision-refused': { kind: 'revision-refused', source: 0, code: 'bad_hash', detail: 'd' },
  'caught-up': { kind: 'caught-up', source: 0, revision: 5 },
  repaired: { kind: 'repaired', source: 0, revision: 4, damaged: 1 },
  'damage-found': { kind: 'damage-found', buckets: 1 },
  mended: { kind: 'mended', source: 0, revision: 4 },
  'mend-failed': { kind: 'mend-failed', code: 'object_missing', detail: 'd' },
  'stream-up': { kind: 'stream-up', revision: 3 },
  'stream-intent': { kind: 'stream-intent', intent: 'changes', head: 5, fault: null },
  'stream-pushed': { kind: 'stream-pushed', waiting: 1 },
  'stream-refused': { kind: 'stream-refused', code: 'older_epoch', detail: 'd' },
  'stream-down': { kind: 'stream-down', code: 'stream_closed', detail: 'd' },
  refollowed: { kind: 'refollowed', revision: 3 },
  interrupted: { kind: 'interrupted', source: 0 },
  tick: { kind: 'tick' },
};
const source = (answers: boolean | null): SourceSync => ({ answers, failures: 0, lookAt: 0, fetchAt: 0, jumps: false });
const facts = (answers: boolean | null, more: Partial<Sync>): Sync => ({
  ...BEGINNING,
  revision: 3,
  head: 5,
  sources: [source(answers), source(answers)],
  stream: { ...STREAM_BEGINNING, link: 'down' },
  ...more,
});
/** A replica at revision 3 that knows of 5, as it is in each state. */
export const FACTS: Record<SyncState, Sync> = {
  booting: facts(null, {}),
  'catching-up': facts(true, { state: 'catching-up' }),
  live: facts(true, {
    state: 'live',
    lookAt: AT.now + 60_000,
    stream: { ...STREAM_BEGINNING, link: 'following', movedAt: AT.now, askedAt: 3 },
  }),
  polling: facts(true, { state: 'polling' }),
  isolated: facts(false, { state: 'isolated' }),
  halted: facts(true, {
    state: 'halted',
    applyAt: AT.now + 30_000,
    faults: { revision: { code: 'reader_too_old', detail: 'd', at: 1 } },
  }),
};

/** An effect in few words: `fetch 4..5 of 0`. */
export function effectText(effect: SyncEffect): string {
  switch (effect.kind) {
    case 'wait':
      return `wait ${effect.ms}`;
    case 'fetch-revision':
      return `fetch ${effect.revision}..${effect.until} of ${effect.source}`;
    case 'fetch-head':
      return `look at ${effect.source}`;
    case 'catch-up':
      return `catch up to ${effect.until} from ${effect.source}`;
    case 'repair':
      return `repair from ${effect.source}`;
    case 'mend':
      return `mend from ${effect.source}`;
    case 'apply':
      return `apply ${effect.revision}`;
    default:
      return effect.kind;
  }
}
