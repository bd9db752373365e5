import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { z } from 'zod';
import { setAsideIfNoDatabase } from '../state/set-aside.js';

/** What is kept of a quota. */
const kept = z.object({ seen: z.string(), spent: z.number(), spentIn: z.number() });
export type KeptCount = z.infer<typeof kept>;
/** Who is in the region. */
const membership = z.object({ node: z.string(), nodes: z.record(z.string(), z.int().positive()) });
export type Membership = z.infer<typeof membership>;

/** Address space, not disk: hundreds of millions of counts. */
const MAP_BYTES = 16 * 1024 ** 3;
const MEMBERSHIP = '\u0001membership';

/** Counts of quotas on this node's disk, so that they outlive any process, here and in the region. Not the state's: that one is the chain's. */
export class KeptCounts {
  private constructor(
    private readonly root: RootDatabase<string, string>,
    /** where a database lies that was none, and was put away */
    readonly setAside: string | null,
  ) {}

  /** @throws Error when the disk does not let it */
  static open(directory: string): KeptCounts {
    const path = join(directory, 'counters');
    const aside = setAsideIfNoDatabase(directory, 'counters');
    return new KeptCounts(open({ path, mapSize: MAP_BYTES, encoding: 'string', overlappingSync: false }), aside);
  }

  get(name: string): KeptCount | null {
    return parsed(kept, this.root.get(name));
  }

  get membership(): Membership | null {
    return parsed(membership, this.root.get(MEMBERSHIP));
  }

  /**
   * In one transaction, and not by lmdb's thread: on a full disk that one was seen to answer never, or by rejections of promises
   * that the caller does not have.
   *
   * @throws Error when the disk does not take it
   */
  write(counts: Iterable<[string, KeptCount]>, nodes: Membership | null): void {
    this.root.transactionSync(() => {
      for (const [name, count] of counts) this.root.putSync(name, JSON.stringify(count));
      if (nodes) this.root.putSync(MEMBERSHIP, JSON.stringify(nodes));
    });
  }

  /**
   * Removes what `ended` says of some, and goes on after them the next time.
   *
   * @param after the name to go on after; '' from the beginning
   * @returns that for the next time
   */
  prune(after: string, count: number, ended: (kept: KeptCount) => boolean): string {
    const gone: string[] = [];
    let last = '';
    for (const { key, value } of this.root.getRange({ start: after === '' ? ' ' : after, limit: count })) {
      last = key === after ? '' : key;
      const one = parsed(kept, value);
      if (one === null || ended(one)) gone.push(key);
    }
    if (gone.length > 0)
      this.root.transactionSync(() => {
        for (const name of gone) this.root.removeSync(name);
      });
    return last;
  }

  close(): Promise<void> {
    return this.root.close();
  }
}

function parsed<T>(schema: z.ZodType<T>, text: string | undefined): T | null {
  if (text === undefined) return null;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return null; // written by another build: it counts as nothing
  }
}
