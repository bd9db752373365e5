import { LIMITS, MAX_HEADER_BYTES } from '#artifacts';

/** Bytes of all revisions of one answer. */
const MOST_BYTES = LIMITS.bodyBytes + MAX_HEADER_BYTES;

/** Revisions that a replica was asked for: its next binary frames, until all of them are there, or no more come. */
export class Want {
  readonly answer: Promise<Buffer[]>;
  private readonly frames: Buffer[] = [];
  private bytes = 0;
  private resolve: (frames: Buffer[]) => void = () => undefined;
  private reject: (error: Error) => void = () => undefined;
  private timer: NodeJS.Timeout;

  /** @param idleMs how long to wait for the next frame: a replica that lacks one just stops */
  constructor(
    private readonly count: number,
    private readonly idleMs: number,
  ) {
    this.answer = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.timer = this.patience();
  }

  /** @returns false when no more was asked for */
  take(frame: Buffer): boolean {
    this.bytes += frame.length;
    if (this.frames.length >= this.count || this.bytes > MOST_BYTES) return false;
    this.frames.push(frame);
    clearTimeout(this.timer);
    if (this.frames.length === this.count) this.resolve(this.frames);
    else this.timer = this.patience();
    return true;
  }

  fail(detail: string): void {
    clearTimeout(this.timer);
    this.reject(new Error(detail));
  }

  private patience(): NodeJS.Timeout {
    return setTimeout(() => {
      if (this.frames.length > 0) this.resolve(this.frames);
      else this.reject(new Error(`nothing came within ${this.idleMs} ms`));
    }, this.idleMs);
  }
}
