/** Who lends a recording its memory and takes what was recorded. */
export interface Shelf {
  /** @returns whether there is room for so many bytes more */
  reserve(bytes: number): boolean;
  release(bytes: number): void;
  /** @param body null: nothing came of it */
  done(recording: Recording, body: Buffer | null): void;
}

/**
 * The body of an answer, written down while it goes to the caller. Whoever has one calls `end` or `abort`, whichever way
 * the answer ends; what comes after that does nothing. It gives up by itself when the body is larger than it may be.
 */
export class Recording {
  private readonly chunks: Buffer[] = [];
  private size = 0;
  private over = false;

  /**
   * @param maxBytes of the body
   * @param length as the upstream announced it; null: it did not
   */
  constructor(
    private readonly shelf: Shelf,
    private readonly maxBytes: number,
    private readonly length: number | null,
  ) {}

  /** Takes a copy: the buffer may be used again. */
  write(chunk: Buffer): void {
    if (this.over || chunk.length === 0) return;
    if (this.size + chunk.length > this.maxBytes || !this.shelf.reserve(chunk.length)) return this.abort();
    this.size += chunk.length;
    this.chunks.push(Buffer.from(chunk));
  }

  /** The answer is whole, by its length or its last chunk. One that ends with the connection may be cut off: `abort` that. */
  end(): void {
    if (this.over) return;
    if (this.length !== null && this.length !== this.size) return this.abort();
    this.finish(joined(this.chunks, this.size));
  }

  abort(): void {
    if (!this.over) this.finish(null);
  }

  private finish(body: Buffer | null): void {
    this.over = true;
    this.shelf.release(this.size);
    this.chunks.length = 0;
    this.shelf.done(this, body);
  }
}

/** Not from node's pool: a small body would keep 8 KiB of others' alive. */
function joined(chunks: readonly Buffer[], size: number): Buffer {
  const body = Buffer.allocUnsafeSlow(size);
  let at = 0;
  for (const chunk of chunks) at += chunk.copy(body, at);
  return body;
}
