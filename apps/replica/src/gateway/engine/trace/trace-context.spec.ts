import { describe, expect, it } from 'vitest';
import { traceParentOf, traceStateOf } from './trace-context.js';
import { isChosen, RandomIds } from './tracing.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('traceParentOf', () => {
  it.each([
    ['version 00', `00-${TRACE}-${SPAN}-01`, '01'],
    ['flags that it does not know', `00-${TRACE}-${SPAN}-03`, '03'],
    ['a later version, as far as this one knows it', `cc-${TRACE}-${SPAN}-01`, '01'],
    ['a later version with more in it', `01-${TRACE}-${SPAN}-ff-more`, '01'],
  ])('reads %s', (_, value, flags) => {
    expect(traceParentOf([value])).toEqual({ traceId: TRACE, spanId: SPAN, flags });
  });

  it.each([
    ['nothing', ''],
    ['version ff', `ff-${TRACE}-${SPAN}-01`],
    ['a trace id of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['a span id of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['upper case', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ['more than version 00 has', `00-${TRACE}-${SPAN}-01-more`],
    ['more without a dash', `cc-${TRACE}-${SPAN}-01.more`],
    ['an id that is short', `00-${TRACE.slice(1)}-${SPAN}-01`],
    ['other digits', `00-${TRACE.slice(1)}g-${SPAN}-01`],
    ['a list', `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`],
  ])('refuses %s', (_, value) => {
    expect(traceParentOf([value])).toBeNull();
  });

  it('refuses two of them, and takes none for none', () => {
    const value = `00-${TRACE}-${SPAN}-01`;
    expect([traceParentOf([value, value]), traceParentOf([])]).toEqual([null, null]);
  });
});

describe('traceStateOf', () => {
  it('puts several fields together in their order', () => {
    expect(traceStateOf(['a=1,b@x=2', ' c/d=3 ,, '])).toBe('a=1,b@x=2,c/d=3');
  });

  it.each([
    ['a member without a value', 'a=1,b'],
    ['a key in upper case', 'A=1'],
    ['a key twice', 'a=1,a=2'],
    ['an equals sign in a value', 'a=1=2'],
    ['33 members', Array.from({ length: 33 }, (_, i) => `k${i}=1`).join(',')],
  ])('drops all of it for %s', (_, value) => {
    expect(traceStateOf([value])).toBe('');
  });

  it('keeps 512 characters, long members go first, then the last ones', () => {
    const members = [`long=${'x'.repeat(200)}`, ...Array.from({ length: 30 }, (_, i) => `k${i}=${'y'.repeat(20)}`)];
    const kept = traceStateOf([members.join(',')]);
    expect(kept.length).toBeLessThanOrEqual(512);
    expect(kept.startsWith('k0=')).toBe(true);
    expect(kept).toBe(members.slice(1, 1 + kept.split(',').length).join(','));
    expect(kept.split(',').length).toBeGreaterThan(18);
  });
});

describe('isChosen', () => {
  it('takes the share of traces that it is told, the same ones everywhere', () => {
    const ids = new RandomIds();
    const traces = Array.from({ length: 10_000 }, () => ids.trace());
    expect(new Set(traces).size).toBe(10_000);
    const quarter = traces.filter((id) => isChosen({ followsParent: true, ratio: 0.25 }, id, null));
    expect(quarter.length / 10_000).toBeCloseTo(0.25, 1);
    expect(quarter.every((id) => isChosen({ followsParent: true, ratio: 0.5 }, id, null))).toBe(true);
    expect(traces.some((id) => isChosen({ followsParent: true, ratio: 0 }, id, null))).toBe(false);
    expect(traces.every((id) => isChosen({ followsParent: true, ratio: 1 }, id, null))).toBe(true);
  });

  it('lets the caller decide where it is told so', () => {
    const decisions = [true, false].flatMap((followsParent) =>
      [true, false, null].map((parent) => isChosen({ followsParent, ratio: 0 }, TRACE, parent)),
    );
    expect(decisions).toEqual([true, false, false, false, false, false]);
  });
});
