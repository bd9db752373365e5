import { describe, expect, it } from 'vitest';
import { Screen } from './screen.js';

function output(isTTY: boolean): { out: NodeJS.WriteStream; text: () => string } {
  let text = '';
  const write = (chunk: string): boolean => {
    text += chunk;
    return true;
  };
  return { out: { isTTY, columns: 20, write } as unknown as NodeJS.WriteStream, text: () => text };
}

describe('Screen', () => {
  it('draws lines of a terminal again, below those that stay, and none wider than it is', () => {
    const { out, text } = output(true);
    const screen = new Screen(out);
    screen.draw(['one', 'a line of more than twenty characters']);
    screen.say('news');
    screen.draw(['two']);
    expect(text()).toBe('\none\na line of more than\n\x1b[3A\x1b[J  0.0 s  news\n\ntwo\n');
  });

  it('writes nothing but lines into a pipe', () => {
    const { out, text } = output(false);
    const screen = new Screen(out);
    screen.draw(['one']);
    screen.say('news');
    screen.draw(['two']);
    expect([screen.isLive, text()]).toEqual([false, '  0.0 s  news\n']);
  });
});
