import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SYNC_STATES, type SyncState } from '#model';
import { AT, EVENTS, effectText, FACTS, TIMES } from '../testing/sync-facts.js';
import { MOODS, SyncWorld } from '../testing/sync-world.js';
import { BEGINNING, type FaultKey, type Sync, type SyncEffect, type SyncEvent } from './sync.js';
import { lastFault, transition } from './sync-machine.js';

type EventKind = SyncEvent['kind'];
const KINDS = Object.keys(EVENTS) as EventKind[];

/** One cell for every state and event, for a replica at revision 3 that knows of 5: the next state, and what is done. */
const TABLE: Record<SyncState, Record<EventKind, string>> = {
  booting: {
    booted: 'catching-up, fetch 4..5 of 0',
    'head-seen': 'catching-up, fetch 4..5 of 0',
    'head-refused': 'catching-up, fetch 4..5 of 0',
    'source-failed': 'catching-up, fetch 4..5 of 1',
    'revision-fetched': 'catching-up, apply 4',
    'revision-applied': 'catching-up, fetch 5..5 of 0',
    'revision-refused': 'catching-up, fetch 4..5 of 1',
    'caught-up': 'polling, look at 0',
    repaired: 'catching-up, fetch 5..5 of 0',
    'damage-found': 'catching-up, fetch 4..5 of 0',
    mended: 'catching-up, fetch 5..5 of 0',
    'mend-failed': 'catching-up, fetch 4..5 of 0',
    'stream-up': 'booting, look at 0',
    'stream-intent': 'booting, refollow',
    'stream-pushed': 'catching-up, fetch 4..5 of 0',
    'stream-refused': 'booting, drop-stream',
    'stream-down': 'catching-up, fetch 4..5 of 0',
    refollowed: 'booting, look at 0',
    interrupted: 'catching-up, fetch 4..5 of 0',
    tick: 'catching-up, fetch 4..5 of 0',
  },
  'catching-up': {
    booted: 'catching-up, fetch 4..5 of 0',
    'head-seen': 'catching-up, fetch 4..5 of 0',
    'head-refused': 'catching-up, fetch 4..5 of 0',
    'source-failed': 'catching-up, fetch 4..5 of 1',
    'revision-fetched': 'catching-up, apply 4',
    'revision-applied': 'catching-up, fetch 5..5 of 0',
    'revision-refused': 'catching-up, fetch 4..5 of 1',
    'caught-up': 'polling, look at 0',
    repaired: 'catching-up, fetch 5..5 of 0',
    'damage-found': 'catching-up, fetch 4..5 of 0',
    mended: 'catching-up, fetch 5..5 of 0',
    'mend-failed': 'catching-up, fetch 4..5 of 0',
    'stream-up': 'catching-up, look at 0',
    'stream-intent': 'catching-up, refollow',
    'stream-pushed': 'catching-up, fetch 4..5 of 0',
    'stream-refused': 'catching-up, drop-stream',
    'stream-down': 'catching-up, fetch 4..5 of 0',
    refollowed: 'catching-up, look at 0',
    interrupted: 'catching-up, fetch 4..5 of 0',
    tick: 'catching-up, fetch 4..5 of 0',
  },
  live: {
    booted: 'catching-up, fetch 4..5 of 0',
    'head-seen': 'live, wait 15000',
    'head-refused': 'live, wait 15000',
    'source-failed': 'live, wait 15000',
    'revision-fetched': 'live, apply 4',
    'revision-applied': 'live, wait 15000',
    'revision-refused': 'live, wait 15000',
    'caught-up': 'polling, refollow',
    repaired: 'catching-up, refollow',
    'damage-found': 'live, mend from 0',
    mended: 'catching-up, refollow',
    'mend-failed': 'live, wait 15000',
    'stream-up': 'catching-up, wait 2000',
    'stream-intent': 'live, wait 15000',
    'stream-pushed': 'live, take-pushed',
    'stream-refused': 'catching-up, drop-stream',
    'stream-down': 'catching-up, fetch 4..5 of 0',
    refollowed: 'catching-up, wait 2000',
    interrupted: 'live, wait 15000',
    tick: 'live, wait 15000',
  },
  polling: {
    booted: 'catching-up, fetch 4..5 of 0',
    'head-seen': 'catching-up, fetch 4..5 of 0',
    'head-refused': 'catching-up, fetch 4..5 of 0',
    'source-failed': 'catching-up, fetch 4..5 of 1',
    'revision-fetched': 'catching-up, apply 4',
    'revision-applied': 'catching-up, fetch 5..5 of 0',
    'revision-refused': 'catching-up, fetch 4..5 of 1',
    'caught-up': 'polling, look at 0',
    repaired: 'catching-up, fetch 5..5 of 0',
    'damage-found': 'catching-up, fetch 4..5 of 0',
    mended: 'catching-up, fetch 5..5 of 0',
    'mend-failed': 'catching-up, fetch 4..5 of 0',
    'stream-up': 'catching-up, look at 0',
    'stream-intent': 'catching-up, refollow',
    'stream-pushed': 'catching-up, fetch 4..5 of 0',
    'stream-refused': 'catching-up, drop-stream',
    'stream-down': 'catching-up, fetch 4..5 of 0',
    refollowed: 'catching-up, look at 0',
    interrupted: 'catching-up, fetch 4..5 of 0',
    tick: 'catching-up, fetch 4..5 of 0',
  },
  isolated: {
    booted: 'catching-up, fetch 4..5 of 0',
    'head-seen': 'catching-up, fetch 4..5 of 0',
    'head-refused': 'catching-up, fetch 4..5 of 0',
    'source-failed': 'catching-up, fetch 4..5 of 1',
    'revision-fetched': 'catching-up, apply 4',
    'revision-applied': 'catching-up, fetch 5..5 of 0',
    'revision-refused': 'catching-up, fetch 4..5 of 1',
    'caught-up': 'polling, look at 0',
    repaired: 'catching-up, fetch 5..5 of 0',
    'damage-found': 'catching-up, fetch 4..5 of 0',
    mended: 'catching-up, fetch 5..5 of 0',
    'mend-failed': 'catching-up, fetch 4..5 of 0',
    'stream-up': 'catching-up, look at 0',
    'stream-intent': 'catching-up, refollow',
    'stream-pushed': 'catching-up, fetch 4..5 of 0',
    'stream-refused': 'isolated, drop-stream',
    'stream-down': 'catching-up, fetch 4..5 of 0',
    refollowed: 'catching-up, look at 0',
    interrupted: 'catching-up, fetch 4..5 of 0',
    tick: 'catching-up, fetch 4..5 of 0',
  },
  halted: {
    booted: 'catching-up, fetch 4..5 of 0',
    'head-seen': 'halted, wait 2000',
    'head-refused': 'halted, look at 1',
    'source-failed': 'halted, look at 1',
    'revision-fetched': 'halted, wait 30000',
    'revision-applied': 'catching-up, fetch 5..5 of 0',
    'revision-refused': 'halted, look at 0',
    'caught-up': 'polling, look at 0',
    repaired: 'catching-up, fetch 5..5 of 0',
    'damage-found': 'halted, mend from 0',
    mended: 'catching-up, fetch 5..5 of 0',
    'mend-failed': 'halted, look at 0',
    'stream-up': 'halted, look at 0',
    'stream-intent': 'halted, refollow',
    'stream-pushed': 'halted, look at 0',
    'stream-refused': 'halted, drop-stream',
    'stream-down': 'halted, look at 0',
    refollowed: 'halted, look at 0',
    interrupted: 'halted, look at 1',
    tick: 'halted, look at 0',
  },
};

const after = (sync: Sync, event: SyncEvent, at = AT): Sync => transition(sync, event, at, TIMES).sync;
const effectOf = (sync: Sync, event: SyncEvent = { kind: 'tick' }, at = AT): SyncEffect =>
  transition(sync, event, at, TIMES).effect;
const level = (sync: Sync): Sync => ({ ...sync, head: sync.revision });
const following = FACTS.live;

describe('transition', () => {
  for (const state of SYNC_STATES) {
    for (const kind of KINDS) {
      it(`${state} + ${kind}`, () => {
        const { effect, sync } = transition(FACTS[state], EVENTS[kind], AT, TIMES);
        expect(`${sync.state}, ${effectText(effect)}`).toBe(TABLE[state][kind]);
      });
    }
  }

  it('polls every 2 s, and every 60 s while it follows a stream', () => {
    const seen: SyncEvent = { kind: 'head-seen', source: 0, head: 3, fresh: true };
    expect(effectOf(level(FACTS.polling), seen)).toEqual({ kind: 'wait', ms: 2000 });
    expect(effectOf(level({ ...following, lookAt: 0 }), seen)).toEqual({ kind: 'wait', ms: 60_000 });
    const down = after(level({ ...following, lookAt: AT.now + 60_000 }), EVENTS['stream-down']);
    expect([down.state, down.lookAt - AT.now]).toEqual(['polling', 2000]);
  });

  it('spreads its looks, so that replicas that began together do not look together', () => {
    const waits = [0, 0.5, 0.99].map((random) =>
      effectOf(level(FACTS.polling), { kind: 'head-seen', source: 0, head: 3, fresh: true }, { ...AT, random }),
    );
    expect(waits).toEqual([1800, 2000, 2196].map((ms) => ({ kind: 'wait', ms })));
  });

  it('asks the next source when one does not answer, has nothing fresh, or gave what was refused', () => {
    for (const kind of ['source-failed', 'head-refused'] as const)
      expect(effectText(effectOf(level(FACTS.polling), EVENTS[kind]))).toBe('look at 1');
    const frozen = transition(level(FACTS.polling), { kind: 'head-seen', source: 0, head: 3, fresh: false }, AT, TIMES);
    expect(effectText(frozen.effect)).toBe('look at 1');
    expect(lastFault(frozen.sync)?.code).toBe('frozen');
    expect(effectText(effectOf(FACTS['catching-up'], EVENTS['revision-refused']))).toBe('fetch 4..5 of 1');
  });

  it('takes a revision that a source does not have any more from its segments or snapshots', () => {
    const missing: SyncEvent = { kind: 'revision-refused', source: 0, code: 'revision_missing', detail: 'd' };
    const once = after(FACTS['catching-up'], missing);
    expect(effectText(effectOf(once))).toBe('catch up to 5 from 0');
    expect(effectText(effectOf(once, missing))).toBe('fetch 4..5 of 1');
    const fork: SyncEvent = { kind: 'revision-refused', source: 0, code: 'fork', detail: 'd' };
    expect(effectText(effectOf(FACTS['catching-up'], fork))).toBe('fetch 4..5 of 1');
    expect(effectText(effectOf(FACTS['catching-up'], { ...fork, decided: true }))).toBe('catch up to 5 from 0');
    expect(effectText(effectOf({ ...FACTS['catching-up'], head: 68 }))).toBe('catch up to 68 from 0');
  });

  it('asks a source that fails less and less often, up to every 30 s, and anew at once after it was good', () => {
    let sync: Sync = { ...FACTS['catching-up'], sources: FACTS['catching-up'].sources.slice(0, 1) };
    const waits = Array.from({ length: 8 }, () => {
      sync = after(sync, { ...EVENTS['revision-refused'], code: 'bad_hash' });
      return (sync.sources[0]?.fetchAt ?? 0) - AT.now;
    });
    expect(waits).toEqual([1500, 3000, 6000, 12_000, 22_500, 22_500, 22_500, 22_500]);
    expect(after(sync, { kind: 'caught-up', source: 0, revision: 5 }).sources[0]).toMatchObject({
      failures: 0,
      fetchAt: 0,
    });
  });

  it('takes nothing from elsewhere while a stream brings it, and gives one up that does not bring what it names', () => {
    expect(effectOf(following)).toEqual({ kind: 'wait', ms: 15_000 });
    expect(effectOf(following, { kind: 'tick' }, { ...AT, now: AT.now + 15_000 })).toMatchObject({
      kind: 'drop-stream',
      code: 'stream_stalled',
    });
    expect(effectText(effectOf(following, EVENTS['stream-pushed']))).toBe('take-pushed');
  });

  it('does not wait long for a master that was asked and does not answer', () => {
    const asked = after(FACTS['catching-up'], EVENTS['stream-up']);
    const waiting = { ...asked, lookAt: AT.now + 60_000 };
    expect(effectOf(waiting)).toEqual({ kind: 'wait', ms: 2000 });
    expect(effectText(effectOf(waiting, { kind: 'tick' }, { ...AT, now: AT.now + 2000 }))).toBe('fetch 4..5 of 0');
  });

  it('asks the stream anew when it went on by itself meanwhile, and after it got what it was sent elsewhere for', () => {
    const passed = after({ ...FACTS['catching-up'], revision: 4 }, EVENTS['stream-up']);
    expect(effectText(effectOf(passed, EVENTS['stream-intent']))).toBe('refollow');
    const full: SyncEvent = { kind: 'stream-intent', intent: 'full', head: 9000, fault: null };
    const sent = after(after(FACTS['catching-up'], EVENTS['stream-up']), full);
    expect(effectText(effectOf(sent))).toBe('catch up to 9000 from 0');
    expect(effectText(effectOf(sent, { kind: 'caught-up', source: 0, revision: 8990 }))).toBe('refollow');
  });

  it('asks the stream anew once where the thread is lost, and then another master', () => {
    const gap: SyncEvent = { kind: 'revision-refused', source: 'stream', code: 'wrong_revision', detail: 'd' };
    const once = transition(following, gap, AT, TIMES);
    expect(once.effect.kind).toBe('refollow');
    const again = after(after(once.sync, { kind: 'refollowed', revision: 3 }), EVENTS['stream-intent']);
    expect(effectOf(again, gap)).toMatchObject({ kind: 'drop-stream', code: 'wrong_revision' });
    const old: SyncEvent = { kind: 'revision-refused', source: 'stream', code: 'older_epoch', detail: 'd' };
    expect(effectOf(following, old)).toMatchObject({ kind: 'drop-stream', code: 'older_epoch' });
  });

  it('keeps a revision at hand that its own disk does not take, and tries again', () => {
    const taken = after(following, { kind: 'revision-fetched', source: 'stream', revisions: 1 });
    const full: SyncEvent = { kind: 'revision-refused', source: 'stream', code: 'state_write_failed', detail: 'd' };
    expect(effectOf(taken, full)).toEqual({ kind: 'wait', ms: 1500 });
    const later = { ...AT, now: AT.now + 1500 };
    expect(effectText(effectOf(after(taken, full), { kind: 'tick' }, later))).toBe('apply 4');
  });

  it('applies what it took together, as far as that goes, and the rest of it before anything else', () => {
    const waiting = after(following, { kind: 'stream-pushed', waiting: 5 });
    const taken = after(waiting, { kind: 'revision-fetched', source: 'stream', revisions: 3 });
    expect(taken.stream.waiting).toBe(2);
    const some = after(taken, { kind: 'revision-applied', revision: 5, left: 1 });
    expect(effectText(effectOf(some))).toBe('apply 6');
    expect(effectText(effectOf(after(some, { kind: 'revision-applied', revision: 6, left: 0 })))).toBe('take-pushed');
  });

  it('repairs its state once where a revision does not give the right root, and then it was the revision', () => {
    const wrong: SyncEvent = { kind: 'revision-refused', source: 0, code: 'wrong_root', detail: 'd' };
    const suspected = after(FACTS['catching-up'], wrong);
    expect(effectText(effectOf(suspected))).toBe('repair from 1');
    const sound = after(suspected, { kind: 'repaired', source: 1, revision: 3, damaged: 0 });
    expect(effectOf(sound).kind).toBe('fetch-head');
    expect(after(sound, wrong).damage).toBe('excluded');
  });

  it('mends damage that was found while it follows on, after what the stream brings, and tries another source later', () => {
    const found = after(level(following), EVENTS['damage-found']);
    expect([found.state, found.faults.state?.code]).toEqual(['live', 'state_damaged']);
    expect(effectText(effectOf(found))).toBe('mend from 0');
    expect(effectText(effectOf(found, EVENTS['stream-pushed']))).toBe('take-pushed');
    const failed = after(found, EVENTS['mend-failed']);
    expect(failed.faults.state?.detail).toContain('object_missing');
    expect(failed.sources).toEqual(found.sources);
    const waits = (failed.mend?.at ?? 0) - AT.now;
    expect(waits).toBeGreaterThanOrEqual(30_000);
    expect(effectOf(after(failed, EVENTS['damage-found'])).kind).toBe('wait');
    expect(effectText(effectOf(failed, { kind: 'tick' }, { ...AT, now: AT.now + waits }))).toBe('mend from 1');
    expect(after(failed, { kind: 'revision-applied', revision: 4, left: 0 }).mend).toEqual(failed.mend);
    expect(after(failed, { kind: 'mended', source: 1, revision: 3 })).toMatchObject({ mend: null, faults: {} });
  });

  it('stops at a revision that needs a newer build, says so once, and goes on from there when it was replaced', () => {
    const needs: SyncEvent = { kind: 'revision-refused', source: 0, code: 'reader_too_old', detail: 'd' };
    const halted = after({ ...FACTS['catching-up'], lookAt: AT.now + 60_000 }, needs);
    expect([halted.state, effectOf(halted)]).toEqual(['halted', { kind: 'wait', ms: 30_000 }]);
    const missing = after(halted, { kind: 'revision-refused', source: 1, code: 'revision_missing', detail: 'd' });
    expect(missing.faults.revision?.code).toBe('reader_too_old');
    expect(after(halted, EVENTS['revision-applied']).state).toBe('catching-up');
    const pushed = after(following, { ...needs, source: 'stream' });
    expect([pushed.state, effectOf(pushed)]).toMatchObject(['halted', { kind: 'drop-stream', holdMs: 30_000 }]);
    // a store that is behind the stream does not take it back
    const before = after({ ...level(following), head: 3 }, { ...needs, source: 'stream' });
    expect(after(before, { kind: 'head-seen', source: 0, head: 3, fresh: true }).state).toBe('halted');
  });

  it('tries the next revision where a head is signed by a key that it may make a trusted one', () => {
    const refused: SyncEvent = { kind: 'head-refused', source: 0, code: 'untrusted_key', detail: 'd' };
    const probing = after(level(FACTS.polling), refused);
    expect(effectText(effectOf(probing))).toBe('fetch 4..4 of 0');
    const none: SyncEvent = { kind: 'revision-refused', source: 0, code: 'revision_missing', detail: 'd' };
    expect(Object.keys(after(probing, none).faults)).toEqual(['head 0']);
  });

  const fault = { code: 'c', detail: 'd', at: 1 };
  const ALL: Partial<Record<FaultKey, typeof fault>> = {
    'source 0': fault,
    'head 0': fault,
    revision: fault,
    stream: fault,
  };
  const stillWrong = (event: SyncEvent, head: number): string[] =>
    Object.keys(after({ ...FACTS['catching-up'], head, faults: ALL }, event).faults);

  it('a fault is over with the good thing that proves it over, and with no other', () => {
    expect(stillWrong({ kind: 'head-seen', source: 0, head: 3, fresh: true }, 3)).toEqual(['stream']);
    expect(stillWrong(EVENTS['head-seen'], 3)).toEqual(['source 0', 'revision', 'stream']);
    expect(stillWrong({ kind: 'caught-up', source: 0, revision: 4 }, 5)).toEqual(['head 0', 'stream']);
    expect(stillWrong(EVENTS['stream-intent'], 5)).toEqual(['source 0', 'head 0', 'revision']);
    expect(stillWrong(EVENTS.tick, 5)).toEqual(['source 0', 'head 0', 'revision', 'stream']);
  });

  it('the same fault keeps the time since when it is, and the newest of all is the last', () => {
    const first = after(FACTS.polling, EVENTS['source-failed'], { ...AT, now: 1 });
    expect(after(first, EVENTS['source-failed'], { ...AT, now: 2 }).faults).toBe(first.faults);
    const other = after(first, { ...EVENTS['source-failed'], code: 'other' }, { ...AT, now: 2 });
    expect(lastFault(other)).toEqual({ code: 'other', detail: 'd', at: 2 });
    expect(lastFault(after(first, EVENTS['head-refused'], { ...AT, now: 3 }))?.code).toBe('bad_signature');
    expect(lastFault(BEGINNING)).toBeNull();
  });

  it('says since when it is in its state', () => {
    const live = after(level(FACTS.polling), { kind: 'tick' });
    expect(after(live, EVENTS['stream-up'], { ...AT, now: AT.now + 5 }).since).toBe(live.since);
    const isolated = after({ ...FACTS.isolated, state: 'polling', head: 3, lookAt: AT.now + 9 }, { kind: 'tick' });
    expect([isolated.state, isolated.since]).toEqual(['isolated', AT.now]);
  });

  it('what is done follows from what is known: the effect of an event that another one follows can be left out', () => {
    const event = fc.constantFrom(...KINDS.map((kind) => EVENTS[kind]));
    fc.assert(
      fc.property(fc.array(event, { maxLength: 30 }), (events) => {
        let sync = FACTS.booting;
        for (const one of events) sync = after(sync, one);
        expect(effectOf(sync)).toEqual(effectOf(after(sync, { kind: 'tick' })));
      }),
    );
  });
});

/** A list of things that happen to the world, each followed by some seconds. */
const happening = fc.oneof(
  fc.record({ kind: fc.constant('mood' as const), source: fc.nat(2), mood: fc.constantFrom(...MOODS) }),
  fc.record({ kind: fc.constant('stream' as const), mood: fc.constantFrom(...MOODS) }),
  fc.record({ kind: fc.constant('published' as const), count: fc.constantFrom(1, 3, 100, 900) }),
  fc.record({ kind: fc.constant('disk' as const), full: fc.boolean() }),
  fc.record({ kind: fc.constant('damaged' as const) }),
);
const story = fc.array(fc.tuple(happening, fc.integer({ min: 1, max: 60_000 })), { maxLength: 25 });

function happens(world: SyncWorld, what: typeof happening extends fc.Arbitrary<infer T> ? T : never): void {
  if (what.kind === 'mood') world.moods[what.source] = what.mood;
  else if (what.kind === 'stream') world.stream = what.mood;
  else if (what.kind === 'damaged') world.spoil();
  else if (what.kind === 'disk') world.isDiskFull = what.full;
  else world.head += what.count;
}

/** Steps through so many milliseconds, and checks after each step what always has to hold. */
function watch(world: SyncWorld, ms: number): void {
  for (const end = world.now + ms; world.now < end; ) {
    const { head, revision } = world.sync;
    world.step();
    const { effect, sync } = world;
    expect(sync.revision).toBeGreaterThanOrEqual(revision);
    expect(sync.head).toBeGreaterThanOrEqual(head);
    expect(sync.revision).toBeLessThanOrEqual(world.head);
    if (effect.kind === 'apply' || effect.kind === 'fetch-revision') expect(effect.revision).toBe(sync.revision + 1);
    if (effect.kind === 'fetch-revision') expect(effect.until).toBeGreaterThanOrEqual(effect.revision);
    // what fails leads to a wait
    expect(world.busy).toBeLessThan(50);
  }
}

describe('in a world of several sources, faults and a clock', () => {
  const seeded = (seed: number): (() => number) => {
    let state = seed >>> 0;
    return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  };

  it('R3 whatever happens it never goes back, never skips a revision, and never runs in circles', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.nat(), story, (streams, seed, events) => {
        const world = new SyncWorld(3, streams, seeded(seed));
        for (const [what, ms] of events) {
          happens(world, what);
          watch(world, ms);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('whatever has happened, it comes to the newest revision as soon as one source is good, or the stream', () => {
    fc.assert(
      fc.property(fc.nat(3), fc.nat(), story, (good, seed, events) => {
        const world = new SyncWorld(3, true, seeded(seed));
        for (const [what, ms] of events) {
          happens(world, what);
          world.run(ms);
        }
        world.isDiskFull = false;
        if (good === 3) {
          world.stream = 'good';
          // what it names has to be had somewhere where it sends a replica elsewhere
          if (world.head - world.sync.revision >= 640) world.moods[0] = 'good';
        } else world.moods[good] = 'good';
        world.head += 2;
        watch(world, 240_000);
        expect(world.sync.revision).toBe(world.head);
      }),
      { numRuns: 150 },
    );
  });
});
