/**
 * What something was, over time. Between the moment that a change is sent and the moment that it is acknowledged either
 * value may be seen; after the latter only the new one.
 */
export class Timeline<T> {
  readonly #steps: { value: T; sentAt: number; doneAt: number }[];

  constructor(first: T) {
    this.#steps = [{ value: first, sentAt: Number.NEGATIVE_INFINITY, doneAt: Number.NEGATIVE_INFINITY }];
  }

  /** @returns what is to be called when the change has been acknowledged */
  change(value: T, sentAt = performance.now()): () => void {
    const step = { value, sentAt, doneAt: Number.POSITIVE_INFINITY };
    this.#steps.push(step);
    return () => void (step.doneAt = performance.now());
  }

  /** What a request may have seen that was sent at one time and answered at another. */
  possible(from: number, to: number): T[] {
    const last = this.#steps.findLastIndex(({ doneAt }) => doneAt <= from);
    return this.#steps.slice(last).flatMap(({ sentAt, value }) => (sentAt <= to ? [value] : []));
  }

  get newest(): T {
    return (this.#steps.at(-1) as { value: T }).value;
  }
}
