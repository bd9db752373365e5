import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  goesOnByItself,
  isOpen,
  PROMOTION_INPUTS,
  PROMOTION_STATES,
  type PromotionInput,
  type PromotionPhase,
  statesFor,
  transitionOf,
} from './promotion-machine.js';

/** Regions as placements would leave them: by wave, whether it has the release. */
interface World {
  phase: PromotionPhase;
  placed: Map<number, number>;
  restored: number;
  open: boolean;
}

const history = fc.array(fc.tuple(fc.constantFrom(...PROMOTION_INPUTS), fc.boolean()), { maxLength: 60 });
const waves = fc.integer({ min: 1, max: 6 });

function walk(count: number, inputs: [PromotionInput, boolean][], check: (before: World, after: World) => void): World {
  let world: World = { phase: { state: 'requested', wave: 0 }, placed: new Map(), restored: 0, open: true };
  for (const [input, approved] of inputs) {
    const next = transitionOf(world.phase, input, { waves: count, approved });
    if (!next) continue;
    const placed = new Map(world.placed);
    if (next.effects.includes('place')) placed.set(next.wave, (placed.get(next.wave) ?? 0) + 1);
    const after: World = {
      phase: { state: next.state, wave: next.wave },
      placed,
      restored: world.restored + (next.effects.includes('restore') ? 1 : 0),
      open: next.effects.includes('close') ? false : next.effects.includes('reopen') ? true : world.open,
    };
    check(world, after);
    world = after;
  }
  return world;
}

describe('a promotion, whatever happens to it', () => {
  it('P1 places each wave once, in order, and restores once', () => {
    fc.assert(
      fc.property(waves, history, (count, inputs) => {
        const end = walk(count, inputs, (_, after) => {
          expect([...after.placed.keys()]).toEqual(Array.from({ length: after.phase.wave }, (_unused, n) => n + 1));
        });
        expect([...end.placed.values()].every((times) => times === 1)).toBe(true);
        expect(end.restored).toBeLessThanOrEqual(1);
      }),
      { numRuns: 2000 },
    );
  });

  it('P2 begins no wave before it was approved, before the last one has passed, or after it has failed', () => {
    fc.assert(
      fc.property(waves, history, (count, inputs) => {
        walk(count, inputs, (before, after) => {
          expect(after.phase.wave).toBeGreaterThanOrEqual(before.phase.wave);
          if (after.phase.wave === before.phase.wave) return;
          expect(after.phase.wave).toBe(before.phase.wave + 1);
          expect(after.phase.wave).toBeLessThanOrEqual(count);
          expect(before.phase.state).toBe(before.phase.wave === 0 ? 'approved' : 'soaking');
        });
      }),
      { numRuns: 2000 },
    );
  });

  it('P4 has restored everything when it says that it is rolled back, and nothing otherwise', () => {
    fc.assert(
      fc.property(waves, history, (count, inputs) => {
        const { phase, restored } = walk(count, inputs, () => undefined);
        expect(restored).toBe(phase.state === 'rolling-back' || phase.state === 'rolled-back' ? 1 : 0);
      }),
      { numRuns: 2000 },
    );
  });

  it('holds its APIs exactly as long as it is open', () => {
    fc.assert(
      fc.property(waves, history, (count, inputs) => {
        walk(count, inputs, (_, after) => expect(after.open).toBe(isOpen(after.phase.state)));
      }),
      { numRuns: 2000 },
    );
  });

  it('ends from everywhere, when nobody does anything but let it go on', () => {
    const onward: Partial<Record<string, PromotionInput>> = {
      requested: 'skip',
      approved: 'start',
      rolling: 'acknowledged',
      soaking: 'passed',
      paused: 'resume',
      'rolling-back': 'restored',
    };
    fc.assert(
      fc.property(waves, history, (count, inputs) => {
        let { phase } = walk(count, inputs, () => undefined);
        for (let left = 4 * count + 4; isOpen(phase.state); left--) {
          expect(left).toBeGreaterThan(0);
          const next = transitionOf(phase, onward[phase.state] ?? 'start', { waves: count, approved: true });
          if (!next) throw new Error(`nothing leads out of ${phase.state}`);
          phase = { state: next.state, wave: next.wave };
        }
      }),
    );
  });
});

describe('the table', () => {
  it('lets people and the work do what the states are for, and nothing else', () => {
    expect(Object.fromEntries(PROMOTION_INPUTS.map((input) => [input, statesFor(input).join(' ')]))).toEqual({
      approve: 'requested',
      reject: 'requested',
      pause: 'rolling soaking',
      resume: 'paused',
      abort: 'requested approved rolling soaking paused',
      rollback: 'completed',
      skip: 'requested rolling soaking rolling-back',
      start: 'approved',
      acknowledged: 'rolling',
      passed: 'soaking',
      failed: 'approved rolling soaking',
      restored: 'rolling-back',
    });
  });

  it('has something that goes on by itself for each state that is open and waits for nobody', () => {
    const waitsForPeople = PROMOTION_STATES.filter((state) => isOpen(state) && !goesOnByItself(state));
    expect(waitsForPeople).toEqual(['requested', 'paused']);
  });

  it('asks for as many approvals as are needed', () => {
    const requested = { state: 'requested', wave: 0 } as const;
    expect(transitionOf(requested, 'approve', { waves: 1, approved: false })?.state).toBe('requested');
    expect(transitionOf(requested, 'approve', { waves: 1, approved: true })?.state).toBe('approved');
  });
});
