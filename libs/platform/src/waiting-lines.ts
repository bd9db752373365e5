/** Lines on their way to somebody who may be slow. So many wait; what comes then is left out, and counted. */
export class WaitingLines {
  private lines: string[] = [];
  private left = 0;

  /** @param most lines that wait */
  constructor(private readonly most: number) {}

  get isFull(): boolean {
    return this.lines.length >= this.most;
  }

  get isEmpty(): boolean {
    return this.lines.length === 0 && this.left === 0;
  }

  put(line: string): void {
    if (this.isFull) this.left += 1;
    else this.lines.push(line);
  }

  /** Lines that others have left out, or that were none. */
  leftOut(count: number): void {
    this.left += count;
  }

  /**
   * What has waited longest, one line at least if there is any; and, when nothing waits any more, how many were left out
   * since it was told last.
   *
   * @param chars of all of them together
   */
  take(lines: number, chars: number): { lines: string[]; dropped: number } {
    let count = 0;
    for (let length = 0; count < Math.min(lines, this.lines.length); count++) {
      length += this.lines[count]?.length ?? 0;
      if (length > chars && count > 0) break;
    }
    const taken = this.lines.splice(0, count);
    if (this.lines.length > 0) return { lines: taken, dropped: 0 };
    const dropped = this.left;
    this.left = 0;
    return { lines: taken, dropped };
  }
}
