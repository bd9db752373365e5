import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';

export function etagOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function hasCode(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && codes.includes(error.code as string);
}

/** Resolves to undefined where `work` fails with one of `codes`. */
export async function unless<T>(work: Promise<T>, ...codes: string[]): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (hasCode(error, ...codes)) return undefined;
    throw error;
  }
}

/** A new file with these bytes, on the disk when it resolves. */
export async function writeDurably(path: string, bytes: Buffer): Promise<void> {
  await withFile(await open(path, 'wx'), async (file) => {
    await file.writeFile(bytes);
    await file.sync();
  });
}

/** A name that was linked, renamed or made outlives a power failure only when its directory was synced. */
export async function syncDirectory(path: string): Promise<void> {
  await withFile(await open(path, 'r'), (directory) => directory.sync());
}

/** Up to `size` bytes from the start; fewer when the file ends before. */
export async function readUpTo(file: FileHandle, size: number): Promise<Buffer> {
  const bytes = Buffer.alloc(size);
  let length = 0;
  while (length < size) {
    const { bytesRead } = await file.read(bytes, length, size - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

export async function withFile<T>(file: FileHandle, work: (file: FileHandle) => Promise<T>): Promise<T> {
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}
