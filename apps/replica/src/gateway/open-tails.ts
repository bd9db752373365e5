import { TAIL, type TailWish } from '#model';
import { WaitingLines } from '#platform';

/** Somebody looks at requests as they come. */
interface OpenTail {
  wish: TailWish;
  readonly waiting: WaitingLines;
  /** it ends then, unless it is wished for again */
  timer: NodeJS.Timeout;
}

/** The tails that are open in a process. Each ends by itself when its time is over: whoever looked may be gone, and cannot say so. */
export class OpenTails {
  private readonly tails = new Map<string, OpenTail>();

  /** @param onEnd told when one has ended, however that came */
  constructor(private readonly onEnd: (tail: string) => void = () => undefined) {}

  get size(): number {
    return this.tails.size;
  }

  get(tail: string): OpenTail | undefined {
    return this.tails.get(tail);
  }

  values(): IterableIterator<OpenTail> {
    return this.tails.values();
  }

  /** Opens it, goes on with it, or ends it. @returns undefined: it is not open, as it has ended, or as there are too many */
  hold(wish: TailWish): OpenTail | undefined {
    const { tail, forMs, linesPerSecond } = wish;
    const before = this.tails.get(tail);
    if (before) clearTimeout(before.timer);
    if (forMs === 0) return void this.end(tail);
    if (!before && this.tails.size >= TAIL.readers) return undefined;
    const timer = setTimeout(() => this.end(tail), forMs).unref();
    // so many wait as may be shown in a second: what comes at once then comes within it
    const open = before ?? { wish, waiting: new WaitingLines(linesPerSecond), timer };
    this.tails.set(tail, Object.assign(open, { wish, timer }));
    return open;
  }

  close(): void {
    for (const { wish } of this.tails.values()) this.hold({ ...wish, forMs: 0 });
  }

  private end(tail: string): void {
    if (this.tails.delete(tail)) this.onEnd(tail);
  }
}
