import { randomBytes } from 'node:crypto';
import type { ArtifactStore, StoreAbilities } from './artifact-store.js';

/** Some servers compare and write in two steps: one writer after the other sees nothing of it, several at once do. */
const WRITERS = 8;
const LIMIT = 64;

/** What `store` honours, by what happens to a scratch object that nobody else knows the name of. */
export async function probeStore(store: ArtifactStore, signal?: AbortSignal): Promise<StoreAbilities> {
  const name = `probe-${randomBytes(8).toString('hex')}`;
  try {
    const create = async (bytes: Buffer) => (await store.create(name, bytes, signal)) === 'created';
    const createOnly = await oneWins(store, name, create, signal);
    const etag = (await store.get(name, LIMIT, signal))?.etag ?? null;
    const replace = async (bytes: Buffer) => (await store.replace(name, bytes, etag, signal)).kind === 'replaced';
    const ifMatch = await oneWins(store, name, replace, signal);
    return { createOnly, ifMatch };
  } finally {
    await store.delete(name, signal);
  }
}

/** Whether of several writers at once one succeeds, of one after them none, and the bytes are the winner's. */
async function oneWins(
  store: ArtifactStore,
  name: string,
  write: (bytes: Buffer) => Promise<boolean>,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const bytes = Array.from({ length: WRITERS }, () => randomBytes(16));
  const won = await Promise.all(bytes.map(write));
  const late = await write(randomBytes(16));
  const winner = bytes[won.indexOf(true)];
  const stored = await store.get(name, LIMIT, signal);
  return !late && won.filter(Boolean).length === 1 && winner !== undefined && stored?.bytes.equals(winner) === true;
}
