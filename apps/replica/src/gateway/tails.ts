import { TAIL, type TailLines, type TailWish } from '#model';
import type { ToWorker } from './ipc.js';
import { OpenTails } from './open-tails.js';

/** Those who look at requests of this replica, by a master's stream or by the admin port, and lines that wait for them. Part of process 1. */
export class Tails {
  private readonly open = new OpenTails();

  /** @param tellAll to all workers. One that begins hears of a wish when it is said again. */
  constructor(private readonly tellAll: (message: ToWorker) => void) {}

  /** Opens it, goes on with it, or ends it. @returns false: it is not open, as it has ended, or as there are too many */
  hold(wish: TailWish): boolean {
    const isOpen = this.open.hold(wish) !== undefined;
    if (isOpen || wish.forMs === 0) this.tellAll({ type: 'tail', wish });
    return isOpen;
  }

  isOpen(tail: string): boolean {
    return this.open.get(tail) !== undefined;
  }

  /** What a worker has told; nobody looks at what comes late. */
  told({ tail, lines, dropped }: TailLines): void {
    const waiting = this.open.get(tail)?.waiting;
    for (const line of lines) waiting?.put(line);
    waiting?.leftOut(dropped);
  }

  /** @param lines at the most @returns what has come since; none where it is not open */
  take(tail: string, lines: number): Omit<TailLines, 'tail'> {
    return this.open.get(tail)?.waiting.take(lines, TAIL.messageChars) ?? { lines: [], dropped: 0 };
  }
}
