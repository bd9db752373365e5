import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  type ArtifactStore,
  type Conditional,
  type Replaced,
  type StoreAbilities,
  StoreError,
  type StoredObject,
} from './artifact-store.js';
import { bounded } from './bounded.js';
import { explainFileSystem } from './directory-errors.js';
import { etagOf, hasCode, readUpTo, syncDirectory, unless, withFile, writeDurably } from './directory-files.js';
import { DirectoryLock, LOCK_PREFIX } from './directory-lock.js';
import { checkName } from './names.js';
import { probeStore } from './probe.js';

/** No write takes as long as this: what lies in `.tmp` for longer was left there by a process that was killed. */
const LEFTOVER_MS = 3_600_000;
/** How long a lock may be held before it is broken: far longer than a replace takes, and well within a call. */
const PATIENCE_MS = 2_000;

/**
 * Objects as files below a directory, for any number of processes at once. A file gets its name by link(2) or rename(2)
 * after its bytes are synced and is not written to again, so a reader who has it open has all of one version.
 *
 * Unfinished files lie in `.tmp` below the directory and not beside their objects: to find what a killed process left
 * behind is then one short listing, not one of every revision there is.
 *
 * Tags are the SHA-256 of the bytes, taken anew at each read. Inode, size and time of change would be cheaper to
 * compare and can be the same for two heads written within one tick of the clock; a head is less than a page.
 */
export class DirectoryStore implements ArtifactStore {
  readonly description: string;
  readonly #tmp: string;
  /** folders whose own names are known to be on the disk */
  readonly #synced = new Set<string>();
  /** folders that are there, as far as is known */
  readonly #ready = new Set<string>();
  /** A directory that was there and is not now was moved or unmounted: to make an empty one would hide that. */
  #seen = false;
  #swept = false;

  constructor(
    private readonly base: string,
    private readonly options: { mayMake: () => Promise<boolean>; timeoutMs: number },
  ) {
    this.description = pathToFileURL(base).href;
    this.#tmp = join(base, '.tmp');
  }

  get(name: string, limitBytes: number, signal?: AbortSignal): Promise<StoredObject | null> {
    return this.#run(name, signal, (path) => this.#read(path, limitBytes));
  }

  async getIfChanged(
    name: string,
    etag: string | null,
    limitBytes: number,
    signal?: AbortSignal,
  ): Promise<Conditional> {
    const object = await this.get(name, limitBytes, signal);
    if (object === null) return { kind: 'missing' };
    return object.etag === etag ? { kind: 'unchanged' } : { kind: 'object', object };
  }

  size(name: string, signal?: AbortSignal): Promise<number | null> {
    return this.#run(name, signal, async (path) => {
      const stats = await unless(stat(path), 'ENOENT', 'ENOTDIR');
      if (stats === undefined) await this.#requireBase();
      return stats?.isFile() ? stats.size : null;
    });
  }

  create(name: string, bytes: Buffer, signal?: AbortSignal): Promise<'created' | 'exists'> {
    return this.#run(name, signal, (path, ends) => this.#create(path, bytes, ends));
  }

  replace(name: string, bytes: Buffer, expected: string | null, signal?: AbortSignal): Promise<Replaced> {
    return this.#run(name, signal, async (path, ends) => {
      if (expected !== null) return this.#replace(path, bytes, expected, ends);
      const outcome = await this.#create(path, bytes, ends);
      return outcome === 'created' ? { kind: 'replaced', etag: etagOf(bytes) } : { kind: 'conflict' };
    });
  }

  delete(name: string, signal?: AbortSignal): Promise<void> {
    return this.#run(name, signal, async (path) => {
      try {
        await unlink(path);
        await syncDirectory(dirname(path));
      } catch (error) {
        if (!hasCode(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) throw error;
        await this.#requireBase();
      }
    });
  }

  list(folder: string, after: string, limit: number, signal?: AbortSignal): Promise<string[]> {
    return this.#run(folder, signal, async (path) => {
      const entries = await unless(readdir(path, { withFileTypes: true }), 'ENOENT', 'ENOTDIR');
      if (entries === undefined) await this.#requireBase();
      return (entries ?? [])
        .filter((entry) => entry.isFile())
        .map((entry) => `${folder}/${entry.name}`)
        .filter((name) => name > after)
        .sort()
        .slice(0, limit);
    });
  }

  probe(signal?: AbortSignal): Promise<StoreAbilities> {
    return probeStore(this, signal);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #run<T>(
    name: string,
    signal: AbortSignal | undefined,
    work: (path: string, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    checkName(name);
    return bounded(`${this.description}: ${name}`, this.options.timeoutMs, signal, async (ends) => {
      for (;;) {
        try {
          const result = await work(join(this.base, name), ends);
          this.#seen = true;
          return result;
        } catch (error) {
          // a folder that was there went away since: once more, and then it is looked for
          if (!hasCode(error, 'ENOENT') || this.#ready.size === 0) throw await this.#explain(error, name);
          this.#ready.clear();
        }
      }
    });
  }

  async #read(path: string, limitBytes: number): Promise<StoredObject | null> {
    const file = await unless(open(path, 'r'), 'ENOENT', 'ENOTDIR');
    if (file === undefined) {
      await this.#requireBase();
      return null;
    }
    return withFile(file, async () => {
      const stats = await file.stat();
      if (!stats.isFile()) return null;
      if (stats.size > limitBytes) {
        throw new StoreError(
          'store_too_large',
          `${path} has ${stats.size} bytes, more than the ${limitBytes} that are read`,
        );
      }
      const bytes = await readUpTo(file, stats.size);
      if (bytes.length < stats.size) {
        throw new StoreError(
          'store_failed',
          `${path} was cut from ${stats.size} to ${bytes.length} bytes while read`,
          true,
        );
      }
      return { bytes, etag: etagOf(bytes) };
    });
  }

  async #create(path: string, bytes: Buffer, signal: AbortSignal): Promise<'created' | 'exists'> {
    await this.#prepare(dirname(path));
    const staged = join(this.#tmp, randomUUID());
    let outcome: 'created' | 'exists' = 'created';
    try {
      await writeDurably(staged, bytes);
      signal.throwIfAborted();
      await link(staged, path);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
      if (!(await stat(path)).isFile()) throw new StoreError('store_bad_name', `${path} is a folder in this store`);
      outcome = 'exists';
    } finally {
      // The outcome is decided; a staged file that cannot be removed is swept when it is old.
      await rm(staged, { force: true }).catch(() => undefined);
    }
    // Also when it exists: whoever linked it may have been killed before this step.
    await syncDirectory(dirname(path));
    return outcome;
  }

  async #replace(path: string, bytes: Buffer, expected: string, signal: AbortSignal): Promise<Replaced> {
    for (;;) {
      await this.#prepare(dirname(path));
      const lock = await DirectoryLock.stage(this.#tmp, relative(this.base, path), bytes);
      try {
        await lock.acquire(signal, Math.min(PATIENCE_MS, this.options.timeoutMs / 2));
        const current = await this.#read(path, Number.MAX_SAFE_INTEGER);
        if (current?.etag !== expected) return { kind: 'conflict' };
        signal.throwIfAborted();
        if (!(await lock.commit(path))) continue;
        await syncDirectory(dirname(path));
        return { kind: 'replaced', etag: etagOf(bytes) };
      } finally {
        await lock.release();
      }
    }
  }

  /** Makes `folder` and `.tmp`, one level at a time: a recursive mkdir would make a base that was moved away, too. */
  async #prepare(folder: string): Promise<void> {
    if (this.#ready.has(folder)) return;
    await this.#requireBase();
    await this.#makeFolder(this.#tmp);
    let path = this.base;
    for (const segment of relative(this.base, folder).split(sep).filter(Boolean)) {
      path = join(path, segment);
      await this.#makeFolder(path);
    }
    this.#ready.add(folder);
    if (this.#swept) return;
    this.#swept = true;
    // Leftovers cost room and nothing else: not being able to remove one is no reason not to write.
    await this.#sweep().catch(() => undefined);
  }

  async #makeFolder(path: string): Promise<void> {
    const there = await unless(
      mkdir(path).then(() => 'made'),
      'EEXIST',
    );
    if (there === 'made' || !this.#synced.has(path)) await syncDirectory(dirname(path));
    this.#synced.add(path);
  }

  async #sweep(): Promise<void> {
    for (const entry of await readdir(this.#tmp)) {
      const path = join(this.#tmp, entry);
      if (entry.startsWith(LOCK_PREFIX)) continue;
      const stats = await unless(stat(path), 'ENOENT');
      if (stats && Date.now() - stats.mtimeMs > LEFTOVER_MS) await rm(path, { recursive: true, force: true });
    }
  }

  async #requireBase(): Promise<void> {
    const stats = await unless(stat(this.base), 'ENOENT', 'ENOTDIR');
    if (stats?.isDirectory()) {
      this.#seen = true;
    } else if (stats === undefined && !this.#seen && (await this.options.mayMake())) {
      const top = (await mkdir(this.base, { recursive: true })) ?? this.base;
      for (let path = this.base; path.length >= top.length; path = dirname(path)) await syncDirectory(dirname(path));
      this.#seen = true;
    } else {
      const what = stats ? 'is not a directory' : 'does not exist: moved away, not mounted, or never made';
      throw new StoreError('store_unreachable', `${this.description} ${what}`);
    }
  }

  async #explain(error: unknown, name: string): Promise<unknown> {
    const where = `${this.description}: ${name}`;
    if (!hasCode(error, 'ENOENT')) return explainFileSystem(error, where);
    // A folder went away between two steps, most likely with everything above it.
    try {
      await this.#requireBase();
    } catch (gone) {
      return explainFileSystem(gone, where);
    }
    return new StoreError('store_failed', `${where}: ${error.message}`, true);
  }
}
