import { countTogether } from '../together.js';

/**
 * Frames that have come and were not taken yet, bounded in bytes: past the bound nothing more is read from the socket,
 * and its sender sees that. What was read already by then is kept, at most one frame and one read of the socket more.
 */
export class Inbox {
  readonly #frames: Buffer[] = [];
  #bytes = 0;
  #isFull = false;

  /**
   * @param limitBytes reading stops above it, and goes on at half of it
   * @param onFull told when reading has to stop (true) and may go on (false)
   */
  constructor(
    private readonly limitBytes: number,
    private readonly onFull: (full: boolean) => void,
  ) {}

  get waiting(): number {
    return this.#frames.length;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  put(frame: Buffer): void {
    this.#frames.push(frame);
    this.#bytes += frame.length;
    this.#toggle();
  }

  /** Those of the oldest that are applied together, in order. */
  take(): Buffer[] {
    const frames = this.#frames.splice(0, countTogether(this.#frames));
    for (const { length } of frames) this.#bytes -= length;
    this.#toggle();
    return frames;
  }

  clear(): void {
    this.#frames.length = 0;
    this.#bytes = 0;
    this.#toggle();
  }

  #toggle(): void {
    const isFull = this.#isFull ? this.#bytes > this.limitBytes / 2 : this.#bytes > this.limitBytes;
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    this.onFull(isFull);
  }
}
