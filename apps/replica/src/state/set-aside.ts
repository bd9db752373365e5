import { closeSync, existsSync, openSync, readSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** In each of the two meta pages that an LMDB file begins with: where its magic number is, and the size of a page. */
const MAGIC = 0xbeefc0de;
const MAGIC_AT = 24;
const PAGE_SIZE_AT = 48;

/**
 * Puts a database that is none away, and keeps the last one of these to be looked at: LMDB itself does not refuse such a
 * file, it ends the process, and the next one after it. Nothing is lost by it, for nothing could be read from it.
 *
 * @param name of its folder in `directory`
 * @returns where it lies now; null when there was nothing wrong
 */
export function setAsideIfNoDatabase(directory: string, name: string): string | null {
  const database = join(directory, name);
  const file = join(database, 'data.mdb');
  if (!existsSync(file) || isDatabase(file)) return null;
  const aside = join(directory, `${name}.damaged`);
  rmSync(aside, { recursive: true, force: true });
  renameSync(database, aside);
  return aside;
}

/** Whether LMDB can open it. */
function isDatabase(file: string): boolean {
  const first = read(file, 0);
  if (first.length === 0) return true; // made, and never written to
  if (!hasMagic(first)) return false;
  return hasMagic(read(file, first.readUInt32LE(PAGE_SIZE_AT)));
}

function hasMagic(page: Buffer): boolean {
  return page.length >= PAGE_SIZE_AT + 4 && page.readUInt32LE(MAGIC_AT) === MAGIC;
}

function read(file: string, at: number): Buffer {
  const handle = openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(PAGE_SIZE_AT + 4);
    return bytes.subarray(0, readSync(handle, bytes, 0, bytes.length, at));
  } finally {
    closeSync(handle);
  }
}
