import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const POLL_MS = 500;
const MAX_READ_BYTES = 1_048_576;
/** What is shown at a time; all of it stands in the log. */
const MAX_SHOWN = 5;

/**
 * Shows the entries of level error and above that are added to an app's log from now on.
 *
 * @returns how to stop it
 */
export function watchLog(name: string, path: string, say: (text: string) => void): () => void {
  const file = openSync(path, 'r');
  let offset = 0;
  let rest = '';
  const look = () => {
    const chunk = Buffer.alloc(Math.min(fstatSync(file).size - offset, MAX_READ_BYTES));
    const read = readSync(file, chunk, 0, chunk.length, offset);
    offset += read;
    const lines = (rest + chunk.toString('utf8', 0, read)).split('\n');
    rest = lines.pop() ?? '';
    const errors = lines.flatMap((line) => errorIn(line));
    for (const message of errors.slice(0, MAX_SHOWN)) say(`${name}: ${message}`);
    if (errors.length > MAX_SHOWN) say(`${name}: ${errors.length - MAX_SHOWN} more errors in ${path}`);
  };
  const timer = setInterval(look, POLL_MS);
  return () => {
    clearInterval(timer);
    closeSync(file);
  };
}

/** What a line of the log says when it is an error, in a list; all other lines give an empty one. */
function errorIn(line: string): string[] {
  if (!/^\{"level":"(error|fatal)"/.test(line)) return [];
  try {
    const { msg, err } = JSON.parse(line) as { msg?: string; err?: { message?: string } };
    return [[msg, err?.message].filter(Boolean).join(': ')];
  } catch {
    return [line]; // the last one of a process that was killed
  }
}
