import { describe, expect, it } from 'vitest';
import { readText } from './read-text.js';

describe('reading a file', () => {
  it('says where things are, through anchors and merges', () => {
    const read = readText('base: &base\n  x: 1\none:\n  <<: *base\n  y: 2\nlist:\n  - *base\n  - {z: 3}\n');
    if (!read.ok) throw new Error(read.problem);
    expect(read.value).toEqual({ base: { x: 1 }, one: { x: 1, y: 2 }, list: [{ x: 1 }, { z: 3 }] });
    expect(read.lineOf(['one', 'y'])).toBe(5);
    expect(read.lineOf(['one', 'x'])).toBe(3); // it came by the merge, so it is where that is
    expect(read.lineOf(['list', 0, 'x'])).toBe(2);
    expect(read.lineOf(['list', 1, 'z'])).toBe(8);
    expect(read.lineOf(['gone', 'x'])).toBe(1);
  });

  it('reads JSON, with a byte order mark too', () => {
    const read = readText('\uFEFF{\n\t"a": [1, {"b": null}]\n}');
    expect(read).toMatchObject({ ok: true, value: { a: [1, { b: null }] } });
  });

  it('tells the line of a fault', () => {
    expect(readText('a: 1\nb: [1\nc: 2\n')).toMatchObject({ ok: false, line: 3 });
    expect(readText('a: 1\na: 2\n')).toMatchObject({ ok: false, line: 2 });
  });

  it.each([
    ['an alias inside of its anchor', 'a: &a {b: *a}\n'],
    ['deep nesting', `${'['.repeat(300)}${']'.repeat(300)}`],
    ['very deep nesting', '['.repeat(5000)],
    [
      'anchors of anchors',
      `a0: &a0 [1]\n${Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}, *a${i}]`).join('\n')}\n`,
    ],
  ])('refuses %s', (_, text) => {
    expect(readText(text)).toMatchObject({ ok: false, problem: expect.any(String) });
  });
});
