import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { afterEach, beforeEach } from 'vitest';
import { type ArtifactStore, openStore } from '#artifacts';
import { copyDatabase, type FreshDatabase, freshDatabase, until } from '#harness';
import { trustedKeysMark } from '../publishing/marks.js';
import { keyIdText } from '../publishing/office/trust.js';
import type { PublishingOptions } from '../publishing/options.js';
import { type AuditedRevision, auditChain } from './chain-audit.js';
import { ChainWriter } from './chain-writer.js';
import { openPool, type PublishingMaster, startPublishing } from './publishing-master.js';
import { auditStore } from './store-audit.js';

/** A copy of a scene's database, as a backup that was restored or a standby that was promoted is one. */
export interface DatabaseCopy {
  database: FreshDatabase;
  pool: pg.Pool;
  writer: ChainWriter;
  /** a master on it, with the scene's store if no other one is named */
  start(store?: ArtifactStore, more?: Partial<PublishingOptions>): Promise<PublishingMaster>;
  /** where its chain stands */
  chain(): Promise<{ epoch: number; revision: number }>;
  /** Waits until a master has taken all markers. */
  drained(): Promise<void>;
}

/** A database with the environment `prod`, a directory as store, and any number of masters; anew for each test. */
export class PublishingScene {
  database!: FreshDatabase;
  pool!: pg.Pool;
  writer!: ChainWriter;
  directory!: string;
  store!: ArtifactStore;
  private readonly masters: PublishingMaster[] = [];
  private readonly copies: DatabaseCopy[] = [];

  /** To be called where a suite's hooks are registered. */
  static forEachTest(): PublishingScene {
    const scene = new PublishingScene();
    beforeEach(() => scene.set());
    afterEach(() => scene.clear());
    return scene;
  }

  private async set(): Promise<void> {
    this.database = await freshDatabase();
    this.pool = openPool(this.database.url);
    this.writer = new ChainWriter(this.pool);
    this.directory = join(mkdtempSync(join(tmpdir(), 'helio-store-')), 'store');
    mkdirSync(this.directory);
    this.store = openStore(`file://${this.directory}`);
    await this.writer.environment('prod');
  }

  private async clear(): Promise<void> {
    await Promise.all(this.masters.splice(0).map((master) => master.stop()));
    for (const { pool, database } of [...this.copies.splice(0), this]) {
      await pool.end();
      await database.drop();
    }
    rmSync(join(this.directory, '..'), { recursive: true, maxRetries: 10, force: true });
  }

  start(store = this.store, more: Partial<PublishingOptions> = {}): Promise<PublishingMaster> {
    return this.startOn(this.database, store, more);
  }

  private async startOn(
    database: FreshDatabase,
    store: ArtifactStore,
    more: Partial<PublishingOptions>,
  ): Promise<PublishingMaster> {
    const master = await startPublishing(database.url, store, more);
    this.masters.push(master);
    return master;
  }

  /** The database as it is now, once more. */
  async copy(): Promise<DatabaseCopy> {
    const database = await copyDatabase(this.database.url);
    const pool = openPool(database.url);
    const copy: DatabaseCopy = {
      database,
      pool,
      writer: new ChainWriter(pool),
      start: (store = this.store, more = {}) => this.startOn(database, store, { instance: 'other', ...more }),
      chain: () => chainIn(pool),
      drained: () => drained(pool, 'prod'),
    };
    this.copies.push(copy);
    return copy;
  }

  /** A term of office: so many revisions, all of them in the store, and the master has gone again. */
  async term(revisions: number): Promise<void> {
    const master = await this.start();
    await this.publish(revisions);
    await this.stored();
    await master.stop();
  }

  /** As `POST /v1/signing-keys` does. */
  announceKeys(...keys: string[]): Promise<unknown> {
    return this.writer.write(async (tx) => {
      for (const key of keys)
        await tx.client.query(`INSERT INTO signing_key (public_key, key_id, added_by) VALUES ($1, $2, 'test')`, [
          key,
          keyIdText(key),
        ]);
      await tx.mark('prod', trustedKeysMark);
    });
  }

  retireKey(key: string): Promise<unknown> {
    return this.writer.write(async (tx) => {
      await tx.client.query(`UPDATE signing_key SET retired_at = now(), retired_by = 'test' WHERE public_key = $1`, [
        key,
      ]);
      await tx.mark('prod', trustedKeysMark);
    });
  }

  /** Waits until a master has taken all markers. */
  drained(environment = 'prod'): Promise<void> {
    return drained(this.pool, environment);
  }

  /** All that was published once no marker waits, audited. */
  async revisions(environment = 'prod'): Promise<AuditedRevision[]> {
    await this.drained(environment);
    return (await auditChain(this.pool, environment)).revisions;
  }

  async revision(): Promise<number> {
    return (await chainIn(this.pool)).revision;
  }

  /** Makes so many revisions, one after the other. */
  async publish(count: number): Promise<void> {
    for (const last = (await this.revision()) + count; (await this.revision()) < last; ) {
      const before = await this.revision();
      await this.writer.write((tx) => tx.plan('prod', 'gold', before + 1));
      await until(async () => (await this.revision()) > before, { what: 'the next revision', every: 5 });
    }
  }

  /** Waits until the store has the whole chain. */
  async stored(): Promise<void> {
    const complete = async (): Promise<boolean> =>
      (await auditStore(this.store, this.pool)).revision === (await this.revision());
    await until(complete, { what: 'the store to have the whole chain', within: 60_000 });
  }
}

async function chainIn(pool: pg.Pool): Promise<{ epoch: number; revision: number }> {
  const { rows } = await pool.query<{ epoch: number; revision: string }>(
    `SELECT epoch, revision FROM chain WHERE environment_id = 'prod'`,
  );
  return { epoch: rows[0]?.epoch ?? 0, revision: Number(rows[0]?.revision ?? 0) };
}

async function drained(pool: pg.Pool, environment: string): Promise<void> {
  const left = 'SELECT FROM outbox WHERE environment_id = $1 LIMIT 1';
  const what = 'the markers to be taken';
  await until(async () => (await pool.query(left, [environment])).rowCount === 0, { what, within: 330_000 });
}
