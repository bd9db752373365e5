import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/** As mkdir -p. Node's own way goes round for ever where a directory exists that takes no others, as /proc does. @throws Error of the system */
export function makeDirectory(path: string, mode?: number): void {
  try {
    mkdirSync(path, mode);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return; // whatever it is, its user will find out
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    makeDirectory(dirname(path), mode);
    mkdirSync(path, mode);
  }
}
