import { fail } from '#model';

/** So many at a time; some wait, in their order, and more are sent away. */
export class Gate {
  private inside = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly width: number,
    private readonly mostWaiting: number,
  ) {}

  /** @throws HelioError `chain_unavailable` when too many wait */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.inside < this.width) this.inside += 1;
    else if (this.waiting.length >= this.mostWaiting)
      throw fail('chain_unavailable', 'too many objects of the artifact store are being read through this master');
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.inside -= 1;
    }
  }
}
