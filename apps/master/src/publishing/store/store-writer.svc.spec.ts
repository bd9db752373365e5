import { randomBytes } from 'node:crypto';
import type { Client } from 'minio';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type ArtifactStore, openStore } from '#artifacts';
import {
  describeWith,
  type FreshDatabase,
  freshDatabase,
  type S3Service,
  s3Client,
  startMinio,
  startVersityGw,
  until,
} from '#harness';
import { ChainWriter } from '../../testing/chain-writer.js';
import { openPool, type PublishingMaster, startPublishing } from '../../testing/publishing-master.js';
import { STORE_RULES } from './store-rules.js';
import { namesOf, StoreReader } from '../../testing/store-reader.js';
import { auditStore } from '../../testing/store-audit.js';

describeWith('minio', 'publishing to MinIO', () => publishing(startMinio));
describeWith('versitygw', 'publishing to versitygw', () => publishing(startVersityGw));

function publishing(startService: () => Promise<S3Service>): void {
  let service: S3Service;
  let client: Client;
  let bucket: string;
  let store: ArtifactStore;
  let database: FreshDatabase;
  let pool: pg.Pool;
  let writer: ChainWriter;
  let master: PublishingMaster;

  beforeAll(async () => {
    service = await startService();
    client = s3Client(service);
  });
  afterAll(() => service.stop());

  beforeEach(async () => {
    database = await freshDatabase();
    pool = openPool(database.url);
    writer = new ChainWriter(pool);
    bucket = `publishing-${randomBytes(6).toString('hex')}`;
    store = openStore(`s3://${bucket}/chains`, { s3: service, create: true, timeoutMs: 2_000 });
    await writer.environment('prod');
    master = await startPublishing(database.url, store);
  });
  afterEach(async () => {
    await master.stop();
    await store.close();
    await pool.end();
    await database.drop();
  });

  async function publish(limit: number): Promise<void> {
    await writer.write((tx) => tx.plan('prod', 'gold', limit));
    await until(async () => (await pool.query('SELECT FROM outbox')).rowCount === 0, { what: 'it to be published' });
  }
  const stored = (revision: number): Promise<unknown> =>
    until(async () => (await auditStore(store, pool)).revision === revision, {
      what: `the store to have revision ${revision}`,
      within: 60_000,
    });

  it('stores every revision, and all of them again when the bucket was emptied', async () => {
    for (let limit = 1; limit <= 5; limit++) await publish(limit);
    await stored(5);
    const names: string[] = [];
    for await (const { name } of client.listObjectsV2(bucket, '', true)) names.push(String(name));
    expect(names.filter((name) => name.startsWith('chains/prod/'))).toHaveLength(6);
    await client.removeObjects(bucket, names);
    await publish(6);
    await stored(6);
  });

  it('makes snapshots, and removes what nobody needs any more', async () => {
    await master.stop();
    const storeRules = { ...STORE_RULES, snapshotRevisions: 4, keepMs: 0 };
    master = await startPublishing(database.url, store, { storeRules });
    for (let limit = 1; limit <= 20; limit++) await publish(limit);
    const reader = new StoreReader(store);
    const collected = async (): Promise<boolean> => {
      const head = await reader.head();
      const deltas = await namesOf(store, 'delta');
      const snapshots = await namesOf(store, 'snapshot');
      return head.revision === 20 && deltas.length < 20 && snapshots.length === 2;
    };
    await until(collected, { what: 'the oldest to be removed', within: 60_000 });
    await reader.follow(await reader.head());
    expect(reader.values.size).toBe(1);
  });

  it('hands the head over to the next master', async () => {
    await publish(1);
    await stored(1);
    await master.crash();
    master = await startPublishing(database.url, store);
    await publish(2);
    await stored(2);
    expect(await auditStore(store, pool)).toMatchObject({ epoch: 2 });
  });
}
