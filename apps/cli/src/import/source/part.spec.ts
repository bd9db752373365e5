import { describe, expect, it } from 'vitest';
import { Notes } from './notes.js';
import { Part } from './part.js';
import { readText } from './read-text.js';

function rootOf(text: string): { root: Part; notes: () => string[] } {
  const read = readText(text);
  if (!read.ok) throw new Error(read.problem);
  const notes = new Notes('file');
  return {
    root: Part.root(notes, read.value),
    notes: () => notes.list(read.lineOf).map(({ line, kind, where }) => `${line} ${kind} ${where}`),
  };
}

describe('a part of a foreign file', () => {
  it('reports what nobody asked for, with its line, and nothing that is empty', () => {
    const { root, notes } = rootOf('a: 1\nb:\n  c: 2\n  d: 3\ne: []\nf: {g: false, h: null}\ni: {j: [0, ""]}\n');
    expect(root.at('b').at('c').number()).toBe(2);
    root.reportUnread();
    expect(notes()).toEqual(['1 lost a', '4 lost b.d']);
  });

  it('calls items by their names', () => {
    const { root, notes } = rootOf('list:\n  - name: one\n    x: 1\n  - username: "two`|"\n    x: 1\n  - x: 1\n');
    for (const item of root.at('list').items()) item.skip('name', 'username');
    root.reportUnread();
    expect(notes()).toEqual(['3 lost list[one].x', '5 lost list[two??].x', '6 lost list[2].x']);
  });

  it('notes a value of another type, once, and goes on without it', () => {
    const { root, notes } = rootOf('a: text\nb: [1]\nc: {}\nd: 7\n');
    expect([root.at('a').number(), root.at('a').number(), root.at('b').text(), root.at('c').items()]).toEqual([
      undefined,
      undefined,
      undefined,
      [],
    ]);
    expect(root.at('d').text()).toBe('7');
    expect(root.at('a').at('x').present).toBe(false);
    expect(notes()).toEqual(['1 lost a', '1 lost a', '2 lost b', '3 lost c']);
  });

  it('finds nothing that every object inherits', () => {
    const { root } = rootOf('__proto__: {x: 1}\nname: y\n');
    expect(root.at('constructor').present).toBe(false);
    expect(root.at('__proto__').at('x').number()).toBe(1);
  });

  it('reports nothing below what was skipped, whenever it was asked for', () => {
    const { root, notes } = rootOf('a: {b: {c: 1}}\n');
    const inner = root.at('a').at('b');
    root.skip('a');
    inner.at('c');
    root.reportUnread();
    expect(notes()).toEqual([]);
  });
});
