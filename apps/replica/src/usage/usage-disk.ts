import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { setAsideIfNoDatabase } from '../state/set-aside.js';
import { nameOf, type Use } from './use.js';

const FOLDER = 'usage';
const MAP_BYTES = 16 * 1024 ** 3;

/**
 * What was counted and no master has taken yet, in an LMDB environment of its own. Its calls return when the disk has what they
 * wrote, and throw when it has not: they belong into a thread, as lmdb's own asynchronous writes leave rejections that
 * nobody can catch when the disk is full.
 */
export class UsageDisk {
  /** where lies what was no database, and was put away */
  readonly setAside: string | null;
  private readonly uses: RootDatabase<Buffer, Buffer>;

  constructor(directory: string) {
    this.setAside = setAsideIfNoDatabase(directory, FOLDER);
    this.uses = open<Buffer, Buffer>({
      path: join(directory, FOLDER),
      encoding: 'binary',
      keyEncoding: 'binary',
      mapSize: MAP_BYTES,
      overlappingSync: false,
    });
  }

  /** @param gone names */
  write(uses: readonly Use[], gone: readonly string[]): void {
    this.uses.transactionSync(() => {
      for (const use of uses) {
        const { application, api, counts } = use;
        this.uses.putSync(Buffer.from(nameOf(use)), Buffer.from(JSON.stringify([application, api, ...counts])));
      }
      for (const name of gone) this.uses.removeSync(Buffer.from(name));
    });
  }

  /** In order of their names, those after `name`. What cannot be read is left out. */
  read(name: string, limit: number): { uses: Use[]; last: string | null } {
    const uses: Use[] = [];
    let last: string | null = null;
    for (const { key, value } of this.uses.getRange({ start: Buffer.from(`${name}\0`), limit })) {
      last = key.toString();
      const use = useOf(last, value);
      if (use) uses.push(use);
    }
    return { uses, last };
  }

  /** What sorts before a name. */
  forget(before: string): void {
    const names = Array.from(this.uses.getKeys({ end: Buffer.from(before) }));
    this.uses.transactionSync(() => names.forEach((name) => this.uses.removeSync(name)));
  }

  async close(): Promise<void> {
    await this.uses.close();
  }
}

const NAME = /^(\d{8})([0-9a-f-]{36})([cko])(.+)$/;
const KIND = { c: 'count', k: 'key', o: 'client' } as const;

function useOf(name: string, value: Buffer): Use | null {
  const [, hour, series, kind, id] = NAME.exec(name) ?? [];
  if (hour === undefined || series === undefined || id === undefined) return null;
  try {
    const [application, api, ...counts] = JSON.parse(value.toString()) as [string | null, string | null, ...number[]];
    if (counts.length !== 3 || !counts.every((count) => Number.isSafeInteger(count) && count >= 0)) return null;
    const read = { hour: Number(hour), series, kind: KIND[kind as 'c'], id, application, api };
    return { ...read, counts: counts as [number, number, number] };
  } catch {
    return null; // half a disk: what it says of this is lost
  }
}
