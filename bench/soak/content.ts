import { createHash, hash } from 'node:crypto';

const BLOCK = 64 * 1024;

/** So many bytes that only this seed gives, in blocks. */
export function* contentOf(seed: string, bytes: number): Generator<Buffer> {
  const block = Buffer.alloc(BLOCK, hash('sha256', seed, 'buffer'));
  for (let left = bytes; left > 0; left -= BLOCK) {
    block.writeUInt32BE(left, 0);
    yield Buffer.from(block.subarray(0, Math.min(left, BLOCK)));
  }
}

export function hashOf(chunks: Iterable<Uint8Array>): string {
  const sum = createHash('sha256');
  for (const chunk of chunks) sum.update(chunk);
  return sum.digest('hex');
}
