import { describe, expect, it } from 'vitest';
import { WaitingLines } from './waiting-lines.js';

describe('WaitingLines', () => {
  it('gives lines in their order, and says once how many were left out', () => {
    const waiting = new WaitingLines(2);
    for (const line of ['a', 'b', 'c', 'd']) waiting.put(line);
    expect(waiting.take(1, 100)).toEqual({ lines: ['a'], dropped: 0 });
    expect(waiting.isFull).toBe(false);
    expect(waiting.take(9, 100)).toEqual({ lines: ['b'], dropped: 2 });
    expect(waiting.take(9, 100)).toEqual({ lines: [], dropped: 0 });
  });

  it('counts what others have left out', () => {
    const waiting = new WaitingLines(2);
    waiting.leftOut(3);
    expect(waiting.isEmpty).toBe(false);
    expect(waiting.take(9, 100)).toEqual({ lines: [], dropped: 3 });
    expect(waiting.isEmpty).toBe(true);
  });

  it('gives no more characters than are asked for, but one line at least', () => {
    const waiting = new WaitingLines(9);
    for (const line of ['123456', '12', '34', '5']) waiting.put(line);
    expect(waiting.take(9, 4).lines).toEqual(['123456']);
    expect(waiting.take(9, 4).lines).toEqual(['12', '34']);
    expect(waiting.take(9, 4).lines).toEqual(['5']);
  });
});
