import { pino } from 'pino';
import { expect, it } from 'vitest';
import { ChainMaker } from '#artifacts/testing';
import { STREAM_LIMITS, TABLE } from '#model';
import type { SealedBytes } from '../publishing/index.js';
import { LiveChain } from './live-chain.js';
import type { StreamChain } from './stream-chain.js';

/** Revisions of one history, the nth of which writes `values[n]`. */
function history(maker: ChainMaker, values: readonly string[]): SealedBytes[] {
  return values.map((value) => {
    const sealed = maker.seal([{ table: TABLE.plan, key: Buffer.from('gold'), value: Buffer.from(value) }]);
    const { epoch, revision, issuedAt } = sealed.header;
    return { epoch, revision, hash: sealed.hash, bytes: sealed.bytes, issuedAt };
  });
}

it('R10 what follows another history of the same length, adopted a moment ago, is not streamed as if it followed this one', async () => {
  const maker = new ChainMaker();
  const ours = history(maker, ['1', '2', '3']);
  const theirs = history(new ChainMaker('prod', 2), ['1', '2', 'other', '4']);
  let rows = ours.slice(0, 2);
  const looks: (() => void)[] = [];
  const answered = (): void => looks.splice(0).forEach((answer) => answer());
  const chain: Pick<StreamChain, 'standing' | 'hashOf' | 'after'> = {
    standing: () => {
      const newest = rows.at(-1);
      if (!newest) throw new Error('there is one');
      const { epoch, revision, hash } = newest;
      const standing = { environment: 'prod', epoch, revision, hash, root: Buffer.alloc(32), snapshot: null };
      return new Promise((resolve) => looks.push(() => resolve(standing)));
    },
    hashOf: (_, revision) => Promise.resolve(rows[revision - 1]?.hash ?? null),
    after: (_, revision) => Promise.resolve(rows.slice(revision)),
  };
  let replaced = 0;
  const told = (): void => undefined;
  const live = new LiveChain(
    'prod',
    chain as StreamChain,
    { signer: maker.signer, limits: STREAM_LIMITS, log: pino({ level: 'silent' }), now: () => 1_000 },
    { moved: told, stands: told, replaced: () => (replaced += 1) },
  );
  const first = live.refresh();
  answered();
  await first;
  expect(live.publish(ours[2] as SealedBytes)).toBe(true);
  rows = theirs.slice(0, 3); // adopted, and a term begins, of which this one is told
  const looking = live.refresh();
  rows = theirs; // and its first revision is out before the look is done
  expect(live.publish(theirs[3] as SealedBytes)).toBe(false);
  const again = live.refresh();
  while (looks.length > 0) {
    answered();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all([looking, again]);
  expect([live.newest, await live.hashOf(3), replaced]).toEqual([4, theirs[2]?.hash.toString('hex'), 1]);
});
