import { setImmediate as breathe } from 'node:timers/promises';

/** Bounds one transaction, not the work: the rest has the next turn. */
const MOST = 500;

interface Waiting<I, O> {
  item: I;
  resolve: (result: O) => void;
  reject: (error: unknown) => void;
}

/**
 * One call of `work` at a time, each with all of one kind that have come since the last one began: the busier it is, the
 * more come together, and whoever comes alone waits for nobody.
 */
export class Turns<I, O> {
  private waiting: Waiting<I, O>[] = [];
  private running = false;

  /**
   * @param kindOf items of different kinds never come together
   * @param work answers its items in their order; what it throws is thrown to all of them
   */
  constructor(
    private readonly kindOf: (item: I) => string,
    private readonly work: (items: I[]) => Promise<O[]>,
  ) {}

  add(item: I): Promise<O> {
    const result = new Promise<O>((resolve, reject) => this.waiting.push({ item, resolve, reject }));
    if (!this.running) void this.run();
    return result;
  }

  private async run(): Promise<void> {
    this.running = true;
    while (this.waiting.length > 0) {
      await breathe(); // what this turn of the event loop brings is taken along
      const some = this.next();
      try {
        const results = await this.work(some.map(({ item }) => item));
        some.forEach(({ resolve }, index) => resolve(results[index] as O));
      } catch (error) {
        for (const { reject } of some) reject(error);
      }
    }
    this.running = false;
  }

  /** Of the kind of the one that has waited longest. */
  private next(): Waiting<I, O>[] {
    const [first] = this.waiting;
    const some = this.waiting
      .filter(({ item }) => first && this.kindOf(item) === this.kindOf(first.item))
      .slice(0, MOST);
    const taken = new Set(some);
    this.waiting = this.waiting.filter((one) => !taken.has(one));
    return some;
  }
}
