import { expect, it } from 'vitest';
import { Inbox } from './stream/inbox.js';
import { RevisionFetcher } from './revision-fetcher.js';
import type { RevisionAnswer, RevisionSource } from './revision-source.js';
import { countTogether, TOGETHER } from './together.js';

const of = (...sizes: number[]): Buffer[] => sizes.map((size) => Buffer.alloc(size));

it('what is applied together is bounded in number and bytes, and one is taken whatever its size', () => {
  expect(countTogether([])).toBe(0);
  expect(countTogether(of(TOGETHER.bytes + 1, 1))).toBe(1);
  expect(countTogether(of(1, TOGETHER.bytes, 1))).toBe(1);
  expect(countTogether(of(1, TOGETHER.bytes - 1, 1))).toBe(2);
  expect(countTogether(of(...Array<number>(100).fill(300)))).toBe(TOGETHER.revisions);
});

it('the inbox of the stream hands out all of it in order, and counts its bytes', () => {
  const inbox = new Inbox(1000, () => undefined);
  const frames = Array.from({ length: 50 }, (_, n) => Buffer.alloc(100, n));
  for (const frame of frames) inbox.put(frame);
  expect([inbox.waiting, inbox.isFull]).toEqual([50, true]);
  expect([...inbox.take(), ...inbox.take()]).toEqual(frames);
  expect([inbox.waiting, inbox.isFull, inbox.take()]).toEqual([0, false, []]);
});

it('of a source it is the wanted revision and those after it that have come, none twice and none left out', async () => {
  const open: ((answer: RevisionAnswer) => void)[] = [];
  const asked: number[] = [];
  const source = {
    revision: (revision: number) => {
      asked.push(revision);
      return new Promise<RevisionAnswer>((resolve) => (open[revision] = resolve));
    },
  } as unknown as RevisionSource;
  const arrives = (revision: number): void => open[revision]?.({ kind: 'revision', bytes: Buffer.of(revision) });
  const { signal } = new AbortController();
  const fetcher = new RevisionFetcher(source);
  const first = fetcher.take(1, 6, signal);
  for (const revision of [5, 2, 3, 1]) arrives(revision);
  expect(await first).toEqual([Buffer.of(1), Buffer.of(2), Buffer.of(3)]);
  const next = fetcher.take(4, 6, signal);
  open[6]?.({ kind: 'missing' });
  arrives(4);
  expect(await next).toEqual([Buffer.of(4), Buffer.of(5)]);
  expect(await fetcher.take(6, 6, signal)).toEqual([]);
  expect(asked).toEqual([1, 2, 3, 4, 5, 6]);
});
