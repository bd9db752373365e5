import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ArtifactReader, ArtifactStore, StoredObject } from '../store/artifact-store.js';

export interface OpenedReader {
  reader: ArtifactReader;
  /** where its objects lie; empty when the suite begins */
  store: ArtifactStore;
}

const LIMIT = 8 * 1024 * 1024;

/** What whoever reads artifacts relies on, of a store or of what passes its objects on. */
export function readerConformance(name: string, open: () => Promise<OpenedReader>): void {
  describe(`artifact reader: ${name}`, () => {
    let reader: ArtifactReader;
    let store: ArtifactStore;
    let count = 0;
    /** a name that no other test uses */
    const fresh = (): string => `reader/delta/${String(++count).padStart(12, '0')}`;

    beforeAll(async () => {
      ({ reader, store } = await open());
    });
    afterAll(async () => {
      await reader.close();
      await store.close();
    });

    it('gives every byte of binary, empty and 5 MB objects, and their sizes', async () => {
      const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
      for (const bytes of [every, Buffer.alloc(0), randomBytes(5 * 1024 * 1024)]) {
        const at = fresh();
        await store.create(at, bytes);
        expect((await reader.get(at, LIMIT))?.bytes.equals(bytes)).toBe(true);
        expect(await reader.size(at)).toBe(bytes.length);
      }
    });

    it('gives null for what is not there, below a folder that is not there either', async () => {
      await store.create('folders/a/b', Buffer.from('x'));
      for (const at of ['never/written/at-all', 'folders/a', 'folders/a/b/c']) {
        expect(await reader.get(at, LIMIT)).toBeNull();
        expect(await reader.size(at)).toBeNull();
        expect(await reader.getIfChanged(at, 'some-tag', LIMIT)).toEqual({ kind: 'missing' });
      }
    });

    it('refuses an object of more than the limit, and reads one of exactly the limit', async () => {
      const at = fresh();
      await store.create(at, Buffer.alloc(100_000));
      await expect(reader.get(at, 99_999)).rejects.toMatchObject({ code: 'store_too_large', retriable: false });
      await expect(reader.getIfChanged(at, null, 99_999)).rejects.toMatchObject({ code: 'store_too_large' });
      expect(await reader.get(at, 100_000)).toMatchObject({ bytes: { length: 100_000 } });
    });

    it('tells unchanged, changed and missing apart by the tag', async () => {
      const at = fresh();
      expect(await reader.getIfChanged(at, null, LIMIT)).toEqual({ kind: 'missing' });
      await store.create(at, Buffer.from('one'));
      const first = await reader.get(at, LIMIT);
      expect(await reader.getIfChanged(at, null, LIMIT)).toEqual({ kind: 'object', object: first });
      expect(await reader.getIfChanged(at, tagOf(first), LIMIT)).toEqual({ kind: 'unchanged' });

      await store.replace(at, Buffer.from('two'), tagOf(await store.get(at, LIMIT)));
      const second = await reader.get(at, LIMIT);
      expect(second?.bytes.toString()).toBe('two');
      expect(await reader.getIfChanged(at, tagOf(first), LIMIT)).toEqual({ kind: 'object', object: second });

      await store.delete(at);
      expect(await reader.getIfChanged(at, tagOf(second), LIMIT)).toEqual({ kind: 'missing' });
    });

    it('reads many objects at the same time', async () => {
      const names = Array.from({ length: 32 }, fresh);
      const bytes = names.map(() => randomBytes(20_000));
      for (const [i, at] of names.entries()) await store.create(at, bytes[i] ?? Buffer.alloc(0));
      const read = await Promise.all(names.map((at) => reader.get(at, LIMIT)));
      expect(read.map((object) => object?.bytes)).toEqual(bytes);
    });

    it('refuses names that could lead elsewhere', async () => {
      for (const at of ['', '/a', 'a/', 'a//b', '..', 'a/../b', 'a/.b', 'A', 'a b', 'a%2f', 'a?b', 'a#b', 'é', 'a\n']) {
        for (const call of readingCalls(reader, at))
          await expect(call(), JSON.stringify(at)).rejects.toMatchObject({ code: 'store_bad_name', retriable: false });
      }
    });

    it('ends with the reason of the signal, before and during a call', async () => {
      const reason = new Error('no longer wanted');
      const at = fresh();
      await store.create(at, randomBytes(5 * 1024 * 1024));
      await expect(reader.get(at, LIMIT, AbortSignal.abort(reason))).rejects.toBe(reason);
      await expect(reader.size(at, AbortSignal.abort(reason))).rejects.toBe(reason);
      const controller = new AbortController();
      const reading = reader.get(at, LIMIT, controller.signal);
      setImmediate(() => controller.abort(reason));
      await expect(reading).rejects.toBe(reason);
      expect(await reader.size(at)).toBe(5 * 1024 * 1024);
    });

    it('describes itself for logs', () => {
      expect(reader.description).toMatch(/^(file|s3|https?):\/\//);
    });
  });
}

/** One reading call of each kind on one object. */
export function readingCalls(reader: ArtifactReader, name: string): (() => Promise<unknown>)[] {
  return [() => reader.get(name, LIMIT), () => reader.getIfChanged(name, 'tag', LIMIT), () => reader.size(name)];
}

function tagOf(object: StoredObject | null): string {
  if (object === null) throw new Error('the object is not there');
  return object.etag;
}
