import type { Logger } from '#platform';

/** What a term waits for before it publishes, for people. */
export class Waiting {
  waitsFor: string | null = null;
  private noted = '';

  constructor(private readonly log: Logger) {}

  /** Says it once. */
  wait(what: string): null {
    this.waitsFor = what;
    if (this.noted !== what) this.log.warn({ cause: what }, 'publishing has to wait');
    this.noted = what;
    return null;
  }

  end(): void {
    this.waitsFor = null;
  }
}
