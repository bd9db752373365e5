import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { lockable, makeReadOnly, scratch } from '../testing/directories.js';
import { directoryFault } from './directory-fault.js';

const faultOf = (path: string, use: 'read' | 'write' = 'write'): Promise<string | null> =>
  directoryFault(pathToFileURL(path).href, use);

describe('the directory of a store', () => {
  it('is refused where a file lies in its place or above it', async () => {
    const file = join(scratch(), 'file');
    writeFileSync(file, 'x');
    for (const use of ['read', 'write'] as const) {
      expect(await faultOf(file, use)).toBe(`${file} is not a directory`);
      expect(await faultOf(join(file, 'a', 'b'), use)).toBe(`${file} is not a directory`);
    }
  });

  it('is refused to a writer that may not write to it, or not make it, and not to a reader', async (context) => {
    const base = lockable(context);
    writeFileSync(join(base, 'file'), 'x');
    makeReadOnly(base);
    expect(await faultOf(base)).toMatch(`${base} cannot be written to: `);
    expect(await faultOf(join(base, 'store'))).toMatch(
      `${base} cannot be written to, and there is no ${base}/store yet`,
    );
    expect(await faultOf(base, 'read')).toBeNull();
  });

  it('is waited for where it is missing, where a mount may come, and behind a link that leads nowhere yet', async () => {
    const base = scratch();
    mkdirSync(join(base, 'mount'), { mode: 0o500 });
    symlinkSync(join(base, 'away'), join(base, 'link'));
    for (const path of [base, join(base, 'a', 'b'), join(base, 'mount', 'store'), join(base, 'link')])
      expect([path, await faultOf(path)]).toEqual([path, null]);
  });

  it('is not looked for where the store is none', async () => {
    expect(await directoryFault('s3://bucket/prefix', 'write')).toBeNull();
  });
});
