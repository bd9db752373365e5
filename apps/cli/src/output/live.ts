import { setTimeout as sleep } from 'node:timers/promises';
import type { Cli } from '../cli.js';
import { CliError } from '../exit.js';

const HIDE = '\x1b[?25l';
const SHOW = '\x1b[?25h';
const ERASE_BELOW = '\x1b[0J';

/**
 * Shows a text that changes. On a terminal each takes the place of the one before it; elsewhere it is written again only
 * where it has changed.
 */
export class LiveText {
  private last: string | null = null;
  private drawn = 0;

  constructor(private readonly cli: Cli) {}

  /** @param text whole lines */
  show(text: string): void {
    if (text === this.last) return;
    if (this.cli.terminal) this.redraw(text);
    else this.cli.write(text);
    this.last = text;
  }

  /** Leaves the last text where it is. */
  end(): void {
    if (this.cli.terminal) this.cli.write(SHOW);
  }

  private redraw(text: string): void {
    const { rows: high, columns: wide } = this.cli.streams.stdout;
    // a terminal of no size is one that does not say which: docker run -t, expect
    const [rows, columns] = [high || 24, wide || 80];
    // More lines than the terminal has could not be taken back, and a line that breaks would be two.
    const lines = text
      .split('\n')
      .slice(0, -1)
      .slice(0, rows - 1)
      .map((line) => clip(line, columns));
    const back = this.drawn > 0 ? `\x1b[${this.drawn}F` : '';
    this.cli.write(`${HIDE}${back}${ERASE_BELOW}${lines.map((line) => `${line}\n`).join('')}`);
    this.drawn = lines.length;
  }
}

/** Shows what `draw` makes, again and again, until Ctrl-C. A master that is away is waited for, and what was seen last stays. */
export async function watch(cli: Cli, everyMs: number, draw: () => Promise<string>): Promise<void> {
  const live = new LiveText(cli);
  let last = '';
  const look = async (): Promise<string> => {
    try {
      last = await draw();
      return last;
    } catch (error) {
      // it is watched because something is wrong
      if (!(error instanceof CliError) || error.exit !== 'unreachable') throw error;
      return `${last}${cli.style.red('!')} ${error.message}\n`;
    }
  };
  try {
    await cli.follow(async (signal) => {
      for (;;) {
        live.show(await look());
        await sleep(everyMs, undefined, { signal });
      }
    });
  } finally {
    live.end();
  }
}

// oxlint-disable-next-line no-control-regex
const PIECES = /\x1b\[[0-9;]*m|[^\x1b]/gu;

/** The first characters of a line that may have colours in it. */
export function clip(line: string, columns: number): string {
  let left = columns;
  return (line.match(PIECES) ?? []).filter((piece) => piece.length > 2 || left-- > 0).join('');
}
