import { describe, expect, it } from 'vitest';
import { Turns } from './turns.js';

const parity = (item: number): string => (item % 2 ? 'odd' : 'even');

describe('turns', () => {
  it('take together what came while the last one was under way, and answer each its own', async () => {
    const calls: number[][] = [];
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const turns = new Turns<number, number>(parity, async (items) => {
      calls.push(items);
      if (calls.length === 1) await held;
      return items.map((item) => item * 10);
    });
    const first = turns.add(1);
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    const rest = [turns.add(2), turns.add(3), turns.add(4)];
    release();
    expect(await Promise.all([first, ...rest])).toEqual([10, 20, 30, 40]);
    expect(calls, 'each of one kind').toEqual([[1], [2, 4], [3]]);
  });

  it('go on after one that failed, whose items all learn of it', async () => {
    let calls = 0;
    const turns = new Turns<number, number>(parity, (items) =>
      calls++ === 0 ? Promise.reject(new Error('no')) : Promise.resolve(items),
    );
    const results = await Promise.allSettled([turns.add(1), turns.add(3)]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await turns.add(2)).toBe(2);
  });
});
