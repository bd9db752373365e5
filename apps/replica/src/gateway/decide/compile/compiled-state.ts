import { hash } from 'node:crypto';
import { applicationIdOf, applicationKey, KEY_ID_BYTES, TABLE } from '#model';
import type { StateSnapshot } from '../../../state/state-snapshot.js';
import { TokenBook } from '../tokens/token-book.js';
import type { CompiledApi } from './compile-api.js';
import type { CompiledUpstream } from './compile-upstream.js';
import { KeyCache } from './key-cache.js';
import { RecordCache } from './record-cache.js';
import {
  type CompiledApplication,
  type CompiledKey,
  type CompiledPlan,
  compileApplication,
  compileKey,
} from './records.js';
import { loadTables, refreshTables, type Tables } from './tables.js';

/** Of four keys each. */
const CACHED_KEY_SETS = 4096;
const CACHED_APPLICATIONS = 4096;

/** What could not be compiled, or is served by another API. */
export interface CompileFault {
  /** an API, `plan <id>`, or `issuer <name>` */
  item: string;
  detail: string;
}

/**
 * One revision, ready to decide on: APIs and plans compiled, keys and applications read from its pinned snapshot when
 * they are asked for, and kept in small caches. Everything that a request sees is of the same revision, because a
 * refresh happens between two requests or not at all.
 */
export class CompiledState {
  readonly tokens = new TokenBook();
  private readonly keys = new KeyCache<CompiledKey>(CACHED_KEY_SETS);
  private readonly applications = new RecordCache<CompiledApplication | null>(CACHED_APPLICATIONS);
  private snapshot: StateSnapshot | null = null;
  private tables: Tables | null = null;
  private checkedOf: Tables | null = null;
  private checkedNow: readonly CompiledUpstream[] = [];
  /** milliseconds since 1970: when the newest head was signed that this replica has seen; null: none was */
  headIssuedAt: number | null = null;

  constructor(readonly region: string) {}

  /** 0: nothing was ever loaded, or nothing was ever published */
  get revision(): number {
    return this.snapshot?.revision ?? 0;
  }

  /** how many times the state was mended that this was loaded from */
  get repairs(): number {
    return this.snapshot?.repairs ?? 0;
  }

  get environment(): string {
    return this.snapshot?.environment ?? '';
  }

  /** What of the loaded revision could not be compiled; the last good version serves instead, where there was one. */
  get faults(): CompileFault[] {
    if (this.tables === null) return [];
    return [...this.tables.failed, ...this.tables.disputed, ...this.tokens.failed].map(([item, detail]) => ({
      item,
      detail,
    }));
  }

  /** Upstreams whose targets are to be checked; another list only when APIs have changed. */
  get checked(): readonly CompiledUpstream[] {
    if (this.tables === null) return [];
    if (this.checkedOf !== this.tables) {
      this.checkedOf = this.tables;
      this.checkedNow = [...this.tables.apis.values()].map(({ upstream }) => upstream).filter(({ check }) => check);
    }
    return this.checkedNow;
  }

  /** How many APIs serve. */
  get apiCount(): number {
    return this.tables?.apis.size ?? 0;
  }

  /**
   * Goes over to another revision, compiling only what changed. Takes the snapshot over, and closes the one before.
   *
   * @throws what reading the snapshot threw; then the revision before goes on serving, and `snapshot` is closed
   */
  refresh(snapshot: StateSnapshot): void {
    try {
      const { snapshot: before } = this;
      const changes = before && this.tables ? snapshot.changesSince(before.revision, before.repairs) : null;
      const tables =
        changes && this.tables
          ? refreshTables(this.tables, snapshot, changes.entries, this.region)
          : loadTables(this.tables, snapshot, this.region);
      const goOver = this.tokens.prepare(snapshot, changes?.complete ? changes.entries : null);
      // from here on nothing can fail
      goOver();
      if (!changes?.complete) {
        this.keys.clear();
        this.applications.clear();
      } else {
        for (const { table, key } of changes.entries) {
          if (table === TABLE.key) this.keys.delete(key.toString('latin1'));
          else if (table === TABLE.application) this.applications.delete(applicationIdOf(key));
        }
      }
      this.tables = tables;
    } catch (error) {
      snapshot.close();
      throw error;
    }
    const before = this.snapshot;
    this.snapshot = snapshot;
    before?.close();
  }

  /** The API that a path belongs to, and how many segments its context takes. */
  apiAt(segments: readonly string[]): { api: CompiledApi; depth: number } | null {
    const found = this.tables?.contexts.find(segments);
    const api = found && this.tables?.apis.get(found.value);
    return api ? { api, depth: found.depth } : null;
  }

  plan(id: string): CompiledPlan | null {
    return this.tables?.plans.get(id) ?? null;
  }

  /** @param secret one character per byte */
  keyOf(secret: string): CompiledKey | null {
    const id = hash('sha256', Buffer.from(secret, 'latin1'), 'binary');
    let record = this.keys.get(id);
    if (record === undefined) {
      const name = id.slice(0, KEY_ID_BYTES);
      const value = this.snapshot?.get(TABLE.key, Buffer.from(name, 'latin1')) ?? null;
      record = value && compileKey(name, value);
      this.keys.set(id, record);
    }
    return record;
  }

  /** @param id a UUID in lower case */
  application(id: string): CompiledApplication | null {
    let application = this.applications.get(id);
    if (application === undefined) {
      const value = this.snapshot?.get(TABLE.application, applicationKey(id)) ?? null;
      application = value && compileApplication(id, value);
      this.applications.set(id, application);
    }
    return application;
  }

  close(): void {
    this.tokens.close();
    this.snapshot?.close();
    this.snapshot = null;
    this.tables = null;
  }
}
