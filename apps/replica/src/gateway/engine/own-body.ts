import type { Answer } from './client-side.js';

/** What is handed over at once. */
const PART_BYTES = 32 * 1024;

/**
 * A body that the gateway has whole, on its way to a client: part by part, as he takes them, so that a client who does not
 * read costs a part and not a copy of the body for each request that he has sent, and one who reads slowly is seen to.
 */
export class OwnBody {
  private bytes: Buffer | null = null;
  private at = 0;

  constructor(private readonly answer: Answer) {}

  /** Some of it was not handed over yet. */
  get pending(): boolean {
    return this.bytes !== null;
  }

  /** Of an answer that has begun. */
  begin(bytes: Buffer): void {
    this.bytes = bytes;
    this.at = 0;
  }

  /** To be asked again when the client has taken what he was given. @returns whether the whole answer was handed over */
  goOn(): boolean {
    const { answer, bytes } = this;
    if (bytes === null) return true;
    while (this.at < bytes.length) {
      if (answer.blocked) return false;
      const from = this.at;
      this.at = Math.min(from + PART_BYTES, bytes.length);
      answer.data(bytes, from, this.at);
      answer.flush();
    }
    this.bytes = null;
    answer.end();
    return true;
  }

  clear(): void {
    this.bytes = null;
  }
}
