import { createHash, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ArtifactStore } from '../store/artifact-store.js';
import { readerConformance, readingCalls } from './reader-conformance.js';

export interface OpenedStore {
  /** empty when the suite begins */
  store: ArtifactStore;
  /** another one at the same place, sharing nothing with `store`: what a second process has */
  again: () => ArtifactStore;
}

const LIMIT = 8 * 1024 * 1024;

/** What every artifact store does. Run it on each implementation; it opens two of them. */
export function storeConformance(name: string, open: () => Promise<OpenedStore>): void {
  readerConformance(name, async () => {
    const { store, again } = await open();
    return { store, reader: again() };
  });
  describe(`artifact store: ${name}`, () => {
    let store: ArtifactStore;
    let other: ArtifactStore;
    let count = 0;
    /** a name that no other test uses */
    const fresh = (): string => `prod/delta/${String(++count).padStart(12, '0')}`;
    const read = async (at: ArtifactStore, from: string): Promise<Buffer | undefined> =>
      (await at.get(from, LIMIT))?.bytes;

    beforeAll(async () => {
      const opened = await open();
      store = opened.store;
      other = opened.again();
    });
    afterAll(async () => {
      await store.close();
      await other.close();
    });

    describe('create', () => {
      it('keeps the first bytes when the same name is created again, with the same bytes or with others', async () => {
        const at = fresh();
        expect(await store.create(at, Buffer.from('first'))).toBe('created');
        expect(await store.create(at, Buffer.from('first'))).toBe('exists');
        expect(await other.create(at, Buffer.from('other, and longer'))).toBe('exists');
        expect(await read(other, at)).toEqual(Buffer.from('first'));
      });

      it('tells exactly one of 20 concurrent creators that it created, and keeps that one', async () => {
        const at = fresh();
        const bytes = Array.from({ length: 20 }, (_, i) => Buffer.alloc(10_000 + i, i));
        const outcomes = await Promise.all(bytes.map((each, i) => (i % 2 ? store : other).create(at, each)));
        expect(outcomes.filter((outcome) => outcome === 'created')).toHaveLength(1);
        expect(await read(store, at)).toEqual(bytes[outcomes.indexOf('created')]);
      });

      it('keeps every byte of binary, empty and 5 MB objects', async () => {
        const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
        for (const bytes of [every, Buffer.alloc(0), randomBytes(5 * 1024 * 1024)]) {
          const at = fresh();
          expect(await store.create(at, bytes)).toBe('created');
          expect((await read(other, at))?.equals(bytes)).toBe(true);
        }
      });

      it('says of a 5 MB object that it exists', async () => {
        const at = fresh();
        const bytes = randomBytes(5 * 1024 * 1024);
        expect(await store.create(at, bytes)).toBe('created');
        for (let i = 0; i < 5; i++) expect(await other.create(at, bytes)).toBe('exists');
      });
    });

    describe('replace', () => {
      it('gives the tag that the object is then read with, and that the next replace takes', async () => {
        const at = fresh();
        let etag: string | null = null;
        for (const text of ['one', 'two', 'three', '']) {
          const outcome = await store.replace(at, Buffer.from(text), etag);
          if (outcome.kind !== 'replaced') throw new Error(`${text}: ${outcome.kind}`);
          etag = outcome.etag;
          expect(await other.get(at, LIMIT)).toEqual({ bytes: Buffer.from(text), etag });
        }
      });

      it('is a conflict, and changes nothing, with no tag on an object, an old tag, and a tag on none', async () => {
        const at = fresh();
        await store.create(at, Buffer.from('one'));
        expect(await other.replace(at, Buffer.from('null'), null)).toEqual({ kind: 'conflict' });
        const first = await store.get(at, LIMIT);
        await store.replace(at, Buffer.from('two'), tagOf(first));
        expect(await other.replace(at, Buffer.from('late'), tagOf(first))).toEqual({ kind: 'conflict' });
        expect(await read(store, at)).toEqual(Buffer.from('two'));

        const none = fresh();
        expect(await store.replace(none, Buffer.from('x'), tagOf(first))).toEqual({ kind: 'conflict' });
        expect(await store.get(none, LIMIT)).toBeNull();
      });

      it('lets exactly one of 12 concurrent writers with the same tag win, round after round', async () => {
        const at = fresh();
        await store.create(at, Buffer.from('start'));
        for (let round = 0; round < 5; round++) {
          const etag = tagOf(await store.get(at, LIMIT));
          const bytes = Array.from({ length: 12 }, (_, i) => Buffer.from(`round ${round}, writer ${i}`));
          const outcomes = await Promise.all(bytes.map((each, i) => (i % 2 ? store : other).replace(at, each, etag)));
          const winners = outcomes.flatMap((outcome, i) => (outcome.kind === 'replaced' ? [i] : []));
          expect(winners).toHaveLength(1);
          expect(await read(store, at)).toEqual(bytes[winners[0] ?? -1]);
        }
      });

      it('loses no increment of writers that read, add one and replace', async () => {
        const at = fresh();
        await store.create(at, Buffer.from('0'));
        await Promise.all([...'abcdef'].map((_, i) => increment(i % 2 ? store : other, at, 5)));
        expect((await read(store, at))?.toString()).toBe('30');
      });

      it('never shows a reader anything but the whole of one version', async () => {
        const at = fresh();
        await store.create(at, selfDescribing(0));
        let writing = true;
        const versions = new Map<string, string>();
        const reading = [store, other].map(async (reader) => {
          while (writing) {
            const object = await reader.get(at, LIMIT);
            if (object === null) throw new Error('the object was gone for a moment');
            expect(isSelfDescribing(object.bytes)).toBe(true);
            // A tag that came with other bytes would let a writer replace what it has never seen.
            const hash = object.bytes.toString('hex', 0, 32);
            expect(versions.get(object.etag) ?? hash).toBe(hash);
            versions.set(object.etag, hash);
          }
        });
        let etag = tagOf(await store.get(at, LIMIT));
        for (let i = 1; i <= 40; i++) {
          const outcome = await store.replace(at, selfDescribing(i * 7_000), etag);
          if (outcome.kind !== 'replaced') throw new Error('the only writer had a conflict');
          etag = outcome.etag;
        }
        writing = false;
        await Promise.all(reading);
        expect(versions.size).toBeGreaterThan(1);
      });
    });

    it('deletes, lets the name be created again, and does not mind deleting what is not there', async () => {
      const at = fresh();
      await store.create(at, Buffer.from('one'));
      await store.delete(at);
      expect(await other.get(at, LIMIT)).toBeNull();
      await store.delete(at);
      await store.delete('never/written/at-all');
      expect(await other.create(at, Buffer.from('two'))).toBe('created');
      expect(await read(store, at)).toEqual(Buffer.from('two'));
    });

    it('refuses names that could leave the store or differ between stores, before it does anything', async () => {
      const bad = [
        '',
        '/',
        '/a',
        'a/',
        'a//b',
        '.',
        '..',
        'a/../b',
        '../a',
        '.tmp/a',
        'a/.b',
        'A',
        'a b',
        'a\\b',
        'a%2f',
        'é',
      ];
      for (const at of [...bad, 'a\0', 'a\n', 'x'.repeat(256), 'a/'.repeat(256) + 'b']) {
        for (const call of everyCall(store, at)) {
          await expect(call(), JSON.stringify(at)).rejects.toMatchObject({ code: 'store_bad_name', retriable: false });
        }
      }
      const longest = `${'a/'.repeat(128)}${'b'.repeat(255)}`;
      expect(await store.create(longest, Buffer.from('x'))).toBe('created');
      expect(await read(other, longest)).toEqual(Buffer.from('x'));
    });

    it('ends with the reason of the signal, before and during a call, and leaves a whole object or none', async () => {
      const reason = new Error('no longer wanted');
      const aborted = AbortSignal.abort(reason);
      const at = fresh();
      await expect(store.create(at, Buffer.from('x'), aborted)).rejects.toBe(reason);
      await expect(store.get(at, LIMIT, aborted)).rejects.toBe(reason);
      expect(await store.get(at, LIMIT)).toBeNull();

      const bytes = randomBytes(5 * 1024 * 1024);
      const controller = new AbortController();
      const creating = store.create(at, bytes, controller.signal);
      setImmediate(() => controller.abort(reason));
      await expect(creating).rejects.toBe(reason);
      const left = await read(other, at);
      expect(left === undefined || left.equals(bytes)).toBe(true);
      expect(await store.create(at, bytes)).toMatch(/^(created|exists)$/);
      expect((await read(other, at))?.equals(bytes)).toBe(true);
    });

    it('lists the objects of one folder in order, in pages, without those of folders in it', async () => {
      const names = [3, 1, 12, 2, 7].map((n) => `list/delta/${String(n).padStart(12, '0')}`);
      await Promise.all(names.map((at) => store.create(at, Buffer.from('x'))));
      await store.create('list/delta/deeper/000000000001', Buffer.from('x'));
      await store.create('list/delta-2/000000000001', Buffer.from('x'));
      const sorted = [...names].sort();
      expect(await other.list('list/delta', '', 100)).toEqual(sorted);
      expect(await other.list('list/delta', '', 2)).toEqual(sorted.slice(0, 2));
      expect(await other.list('list/delta', sorted[1] ?? '', 2)).toEqual(sorted.slice(2, 4));
      expect(await other.list('list/delta', sorted[4] ?? '', 2)).toEqual([]);
      expect(await other.list('list/nothing', '', 2)).toEqual([]);
      await store.delete(sorted[0] ?? '');
      expect(await other.list('list/delta', '', 100)).toEqual(sorted.slice(1));
    });

    it('finds by trying that it honours create-only and If-Match', async () => {
      expect(await store.probe()).toEqual({ createOnly: true, ifMatch: true });
    });
  });
}

/** One call of each kind on one object, to see that all of them fail in the same way. */
export function everyCall(store: ArtifactStore, name: string): (() => Promise<unknown>)[] {
  const bytes = Buffer.from('x');
  return [
    ...readingCalls(store, name),
    () => store.list(name, '', 9),
    () => store.create(name, bytes),
    () => store.replace(name, bytes, 'tag'),
    () => store.replace(name, bytes, null),
    () => store.delete(name),
  ];
}

export async function failureOf(call: Promise<unknown>): Promise<Error> {
  const outcome = await call.catch((error: unknown) => error);
  if (outcome instanceof Error) return outcome;
  throw new Error(`it did not fail, but gave ${inspect(outcome)}`);
}

function tagOf(object: { etag: string } | null): string {
  if (object === null) throw new Error('the object is not there');
  return object.etag;
}

async function increment(store: ArtifactStore, name: string, times: number): Promise<void> {
  while (times > 0) {
    const current = await store.get(name, LIMIT);
    const next = Buffer.from(String(Number(current?.bytes.toString()) + 1));
    const outcome = await store.replace(name, next, tagOf(current));
    if (outcome.kind === 'replaced') times--;
  }
}

/** Bytes that begin with their own hash: a mix of two, or a part of one, does not. */
export function selfDescribing(size: number): Buffer {
  const body = randomBytes(size);
  return Buffer.concat([createHash('sha256').update(body).digest(), body]);
}

export function isSelfDescribing(bytes: Buffer): boolean {
  return createHash('sha256').update(bytes.subarray(32)).digest().equals(bytes.subarray(0, 32));
}
