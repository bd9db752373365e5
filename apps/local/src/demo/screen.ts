/** What is written: lines that stay, and below them, on a terminal, some that are drawn again and again. */
export class Screen {
  private drawn = 0;
  private readonly began = performance.now();

  constructor(private readonly out: NodeJS.WriteStream) {}

  /** whether lines can be drawn again */
  get isLive(): boolean {
    return this.out.isTTY;
  }

  /** One that stays, with the time since the beginning. */
  say(text: string): void {
    const seconds = ((performance.now() - this.began) / 1000).toFixed(1);
    this.write([`${seconds.padStart(5)} s  ${text}`], false);
  }

  /** On a terminal in the place of those before; else nothing, as they would be too many. */
  draw(lines: readonly string[]): void {
    if (this.isLive) this.write(['', ...lines], true);
  }

  private write(lines: readonly string[], again: boolean): void {
    const back = this.drawn > 0 ? `\x1b[${this.drawn}A\x1b[J` : '';
    const width = again ? this.out.columns - 1 : Number.POSITIVE_INFINITY; // a line that is broken would be two
    this.drawn = again ? lines.length : 0;
    this.out.write(`${back}${lines.map((line) => `${line.slice(0, width)}\n`).join('')}`);
  }
}
