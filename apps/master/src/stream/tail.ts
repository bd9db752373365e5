import type { SealedBytes } from '../publishing/index.js';

/**
 * The newest revisions of a chain in memory, one after the other without a gap: bounded in bytes, but the newest one is
 * always kept, however large.
 */
export class Tail {
  private revisions: SealedBytes[] = [];
  private bytes = 0;

  constructor(private readonly limitBytes: number) {}

  get heldBytes(): number {
    return this.bytes;
  }

  /** Undefined: not here (any more). */
  get(revision: number): SealedBytes | undefined {
    const first = this.revisions[0];
    return first && revision >= first.revision ? this.revisions[revision - first.revision] : undefined;
  }

  /** One that does not follow the newest begins anew. */
  push(sealed: SealedBytes): void {
    const newest = this.revisions.at(-1);
    if (newest && sealed.revision !== newest.revision + 1) this.clear();
    this.revisions.push(sealed);
    this.bytes += sealed.bytes.length;
    let drop = 0;
    for (let freed = this.bytes; freed > this.limitBytes && drop < this.revisions.length - 1; drop++)
      freed -= this.revisions[drop]?.bytes.length ?? 0;
    for (const { bytes } of this.revisions.splice(0, drop)) this.bytes -= bytes.length;
  }

  clear(): void {
    this.revisions = [];
    this.bytes = 0;
  }
}
