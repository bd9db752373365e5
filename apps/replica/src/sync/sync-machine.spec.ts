import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SYNC_STATES, type SyncState } from '#model';
import { BEGINNING, lastFault, type Sync, type SyncEffect, type SyncEvent, transition } from './sync-machine.js';

const POLL = 2000;
const NOW = 1_000_000;
const EVENTS: { [K in SyncEvent['kind']]: Extract<SyncEvent, { kind: K }> } = {
  booted: { kind: 'booted', revision: 3, head: 5 },
  'head-seen': { kind: 'head-seen', head: 5 },
  'head-refused': { kind: 'head-refused', code: 'bad_signature', detail: 'd' },
  'source-failed': { kind: 'source-failed', code: 'store_unreachable', detail: 'd' },
  'revision-fetched': { kind: 'revision-fetched' },
  'revision-applied': { kind: 'revision-applied', revision: 4 },
  'revision-refused': { kind: 'revision-refused', code: 'bad_hash', detail: 'd' },
  tick: { kind: 'tick' },
};
type EventKind = keyof typeof EVENTS;

const text = (effect: SyncEffect): string =>
  effect.kind === 'wait'
    ? `wait ${effect.ms}`
    : effect.kind === 'fetch-revision'
      ? `fetch ${effect.revision}..${effect.until}`
      : effect.kind === 'apply'
        ? `apply ${effect.revision}`
        : 'fetch-head';

/** One cell for every state and event, for a replica at revision 3 that knows of 5: the next state, and what is done. */
const BEHIND: Record<SyncState, Record<EventKind, string>> = {
  booting: {
    booted: 'booting, fetch-head',
    'head-seen': 'catching-up, fetch 4..5',
    'head-refused': 'catching-up, fetch 4..5',
    'source-failed': 'isolated, wait 2000',
    'revision-fetched': 'booting, apply 4',
    'revision-applied': 'catching-up, fetch 5..5',
    'revision-refused': 'catching-up, wait 2000',
    tick: 'booting, fetch-head',
  },
  'catching-up': {
    booted: 'booting, fetch-head',
    'head-seen': 'catching-up, fetch 4..5',
    'head-refused': 'catching-up, fetch 4..5',
    'source-failed': 'isolated, wait 2000',
    'revision-fetched': 'catching-up, apply 4',
    'revision-applied': 'catching-up, fetch 5..5',
    'revision-refused': 'catching-up, wait 2000',
    tick: 'catching-up, fetch-head',
  },
  live: {
    booted: 'booting, fetch-head',
    'head-seen': 'catching-up, fetch 4..5',
    'head-refused': 'catching-up, fetch 4..5',
    'source-failed': 'isolated, wait 2000',
    'revision-fetched': 'live, apply 4',
    'revision-applied': 'catching-up, fetch 5..5',
    'revision-refused': 'catching-up, wait 2000',
    tick: 'live, fetch-head',
  },
  polling: {
    booted: 'booting, fetch-head',
    'head-seen': 'catching-up, fetch 4..5',
    'head-refused': 'catching-up, fetch 4..5',
    'source-failed': 'isolated, wait 2000',
    'revision-fetched': 'polling, apply 4',
    'revision-applied': 'catching-up, fetch 5..5',
    'revision-refused': 'catching-up, wait 2000',
    tick: 'polling, fetch-head',
  },
  isolated: {
    booted: 'booting, fetch-head',
    'head-seen': 'catching-up, fetch 4..5',
    'head-refused': 'catching-up, fetch 4..5',
    'source-failed': 'isolated, wait 2000',
    'revision-fetched': 'isolated, apply 4',
    'revision-applied': 'catching-up, fetch 5..5',
    'revision-refused': 'catching-up, wait 2000',
    tick: 'isolated, fetch-head',
  },
  halted: {
    booted: 'booting, fetch-head',
    'head-seen': 'halted, fetch 4..5',
    'head-refused': 'halted, fetch 4..5',
    'source-failed': 'halted, wait 2000',
    'revision-fetched': 'halted, apply 4',
    'revision-applied': 'catching-up, fetch 5..5',
    'revision-refused': 'halted, wait 2000',
    tick: 'halted, fetch-head',
  },
};

/** Where it differs for a replica that has all it knows of: revision 3 of 3, then 4 of 4. */
const LEVEL: Record<SyncState, Partial<Record<EventKind, string>>> = {
  booting: {
    'head-seen': 'polling, wait 2000',
    'head-refused': 'isolated, wait 2000',
    'revision-applied': 'polling, wait 2000',
  },
  'catching-up': {
    'head-seen': 'polling, wait 2000',
    'head-refused': 'isolated, wait 2000',
    'revision-applied': 'polling, wait 2000',
  },
  live: {
    'head-seen': 'live, wait 2000',
    'head-refused': 'isolated, wait 2000',
    'revision-applied': 'live, wait 2000',
  },
  polling: {
    'head-seen': 'polling, wait 2000',
    'head-refused': 'isolated, wait 2000',
    'revision-applied': 'polling, wait 2000',
  },
  isolated: {
    'head-seen': 'polling, wait 2000',
    'head-refused': 'isolated, wait 2000',
    'revision-applied': 'polling, wait 2000',
  },
  halted: {
    'head-seen': 'polling, wait 2000',
    'head-refused': 'halted, wait 2000',
    'revision-applied': 'polling, wait 2000',
  },
};

const step = (sync: Sync, event: SyncEvent): string => {
  const next = transition(sync, event, NOW, POLL);
  return `${next.sync.state}, ${text(next.effect)}`;
};

describe('transition', () => {
  for (const state of SYNC_STATES) {
    for (const kind of Object.keys(EVENTS) as EventKind[]) {
      it(`${state} + ${kind}`, () => {
        expect(step({ ...BEGINNING, state, revision: 3, head: 5 }, EVENTS[kind])).toBe(BEHIND[state][kind]);
        const level = LEVEL[state][kind];
        const event = kind === 'head-seen' ? { ...EVENTS[kind], head: 3 } : EVENTS[kind];
        if (level) expect(step({ ...BEGINNING, state, revision: 3, head: 3 }, event)).toBe(level);
      });
    }
  }

  const fault = { code: 'c', detail: 'd', at: 1 };
  const FAULTS = { source: fault, head: fault, revision: fault };
  const stillWrong = (event: SyncEvent, head: number): string[] => {
    const { sync } = transition(
      { ...BEGINNING, state: 'catching-up', revision: 3, head, faults: FAULTS },
      event,
      NOW,
      POLL,
    );
    return Object.entries(sync.faults).flatMap(([about, one]) => (one ? [about] : []));
  };

  it('a fault is over with the good thing that proves it over, and with no other', () => {
    expect(stillWrong({ kind: 'head-seen', head: 3 }, 3)).toEqual([]);
    expect(stillWrong(EVENTS['head-seen'], 3)).toEqual(['source', 'revision']);
    expect(stillWrong(EVENTS['revision-applied'], 5)).toEqual(['head']);
    expect(stillWrong(EVENTS.tick, 5)).toEqual(['source', 'head', 'revision']);
  });

  it('the same fault keeps the time since when it is, and the newest of all is the last', () => {
    const first = transition({ ...BEGINNING }, EVENTS['source-failed'], 1, POLL).sync;
    expect(transition(first, EVENTS['source-failed'], 2, POLL).sync.faults).toBe(first.faults);
    expect(lastFault(transition(first, { ...EVENTS['source-failed'], code: 'other' }, 2, POLL).sync)).toEqual({
      code: 'other',
      detail: 'd',
      at: 2,
    });
    expect(lastFault(transition(first, EVENTS['head-refused'], 2, POLL).sync)?.code).toBe('bad_signature');
    expect(lastFault(BEGINNING)).toBeNull();
  });

  it('asks for a refused revision less and less often, up to every 30 s, and anew at once after one was applied', () => {
    let sync: Sync = { ...BEGINNING, state: 'catching-up', revision: 3, head: 5 };
    const waits = Array.from({ length: 40 }, () => {
      const next = transition(sync, EVENTS['revision-refused'], NOW, POLL);
      sync = next.sync;
      return next.effect.kind === 'wait' ? next.effect.ms : null;
    });
    expect(waits.slice(0, 6)).toEqual([2000, 4000, 8000, 16_000, 30_000, 30_000]);
    expect(waits.at(-1)).toBe(30_000);
    expect(transition(sync, EVENTS['revision-applied'], NOW, POLL).sync.refusals).toBe(0);
  });

  it('stops at a revision that needs a newer build, and goes on from there when it was replaced', () => {
    const needs: SyncEvent = { kind: 'revision-refused', code: 'reader_too_old', detail: 'd' };
    const { sync, effect } = transition({ ...BEGINNING, state: 'catching-up', revision: 3, head: 5 }, needs, NOW, POLL);
    expect([sync.state, effect]).toEqual(['halted', { kind: 'wait', ms: 30_000 }]);
    expect(transition(sync, EVENTS['revision-applied'], NOW, POLL).sync.state).toBe('catching-up');
  });

  it('R3 whatever happens, its revision never goes back, and it is never told to apply any but the next one', () => {
    const event = fc.oneof(
      fc.constantFrom(
        ...Object.values(EVENTS).filter(
          ({ kind }) => kind !== 'booted' && kind !== 'head-seen' && kind !== 'revision-applied',
        ),
      ),
      fc.nat(20).map((more): SyncEvent => ({ kind: 'head-seen', head: more })),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        let { sync, effect } = transition(BEGINNING, { kind: 'booted', revision: 3, head: 3 }, NOW, POLL);
        for (const chosen of events) {
          const { revision } = sync;
          // the shell answers an `apply` with its outcome; a head it accepts is not behind the newest one
          const next: SyncEvent =
            effect.kind === 'apply' && chosen.kind === 'tick'
              ? { kind: 'revision-applied', revision: effect.revision }
              : chosen;
          const event = next.kind === 'head-seen' ? { ...next, head: Math.max(next.head, sync.head) } : next;
          ({ sync, effect } = transition(sync, event, NOW, POLL));
          expect(sync.revision).toBeGreaterThanOrEqual(revision);
          if (effect.kind === 'apply' || effect.kind === 'fetch-revision')
            expect(effect.revision).toBe(sync.revision + 1);
          if (effect.kind === 'fetch-revision') expect(effect.until).toBeGreaterThanOrEqual(effect.revision);
        }
      }),
    );
  });
});
