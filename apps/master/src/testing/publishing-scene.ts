import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { afterEach, beforeEach } from 'vitest';
import { type ArtifactStore, openStore } from '#artifacts';
import { type FreshDatabase, freshDatabase, until } from '#harness';
import type { PublishingOptions } from '../publishing/options.js';
import { type AuditedRevision, auditChain } from './chain-audit.js';
import { ChainWriter } from './chain-writer.js';
import { openPool, type PublishingMaster, startPublishing } from './publishing-master.js';
import { auditStore } from './store-audit.js';

/** A database with the environment `prod`, a directory as store, and any number of masters; anew for each test. */
export class PublishingScene {
  database!: FreshDatabase;
  pool!: pg.Pool;
  writer!: ChainWriter;
  directory!: string;
  store!: ArtifactStore;
  private readonly masters: PublishingMaster[] = [];

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
    await this.pool.end();
    await this.database.drop();
    rmSync(join(this.directory, '..'), { recursive: true, force: true });
  }

  async start(store = this.store, more: Partial<PublishingOptions> = {}): Promise<PublishingMaster> {
    const master = await startPublishing(this.database.url, store, more);
    this.masters.push(master);
    return master;
  }

  /** Waits until a master has taken all markers. */
  async drained(environment = 'prod'): Promise<void> {
    const left = 'SELECT FROM outbox WHERE environment_id = $1 LIMIT 1';
    const what = 'the markers to be taken';
    await until(async () => (await this.pool.query(left, [environment])).rowCount === 0, { what, within: 330_000 });
  }

  /** All that was published once no marker waits, audited. */
  async revisions(environment = 'prod'): Promise<AuditedRevision[]> {
    await this.drained(environment);
    return (await auditChain(this.pool, environment)).revisions;
  }

  async revision(): Promise<number> {
    const { rows } = await this.pool.query<{ revision: string }>(
      `SELECT revision FROM chain WHERE environment_id = 'prod'`,
    );
    return Number(rows[0]?.revision ?? 0);
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
