import type { TailWish, ToMaster } from '#model';
import type { Tails } from '../../gateway/tails.js';

/** Lines of so long go together. */
const TELL_MS = 200;

/** What one connection's master looks at. It ends with the connection: the next one asks anew. */
export class TailTeller {
  readonly #wished = new Map<string, TailWish>();
  #timer: NodeJS.Timeout | null = null;

  /** @param isFree whether what was said before is out: lines wait, and are left out, before anything else does */
  constructor(
    private readonly tails: Tails,
    private readonly send: (message: ToMaster) => void,
    private readonly isFree: () => boolean,
  ) {}

  /** Answers at once, so that the master knows that it is done. */
  hear(wish: TailWish): void {
    const { tail } = wish;
    if (!this.tails.hold(wish)) return void this.#wished.delete(tail);
    this.#wished.set(tail, wish);
    this.#tell(wish);
    this.#timer ??= setInterval(() => this.#tellAll(), TELL_MS);
  }

  stop(): void {
    for (const wish of this.#wished.values()) this.tails.hold({ ...wish, forMs: 0 });
    this.#wished.clear();
    this.#tellAll();
  }

  #tellAll(): void {
    for (const [tail, wish] of this.#wished) {
      if (!this.tails.isOpen(tail)) this.#wished.delete(tail);
      else if (this.isFree()) this.#tell(wish, true);
    }
    if (this.#wished.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #tell({ tail, linesPerSecond }: TailWish, onlyNews = false): void {
    const { lines, dropped } = this.tails.take(tail, Math.ceil((linesPerSecond * TELL_MS) / 1000));
    if (onlyNews && lines.length === 0 && dropped === 0) return;
    this.send({ type: 'lines', tail, lines, dropped });
  }
}
