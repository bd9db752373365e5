import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { LIMITS, opsOf, segmentName, TrustedKeys, verifySegment } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { TABLE } from '#model';
import { PublishingScene } from '../../testing/publishing-scene.js';
import { namesOf } from '../../testing/store-reader.js';
import type { DeltaContext } from './deltas.js';
import { putSegmentsEndingAt } from './segment-maker.js';

const scene = PublishingScene.forEachTest();
const key = (text: string): Buffer => Buffer.from(text.padEnd(16, '.'));

function contextOf({ signer }: ChainMaker): DeltaContext {
  return {
    environment: 'prod',
    store: scene.store,
    signer,
    trusted: new TrustedKeys([signer.publicKey]),
    query: (sql, parameters) => scene.pool.query(sql, parameters).then(({ rows }) => rows),
    log: pino({ level: 'silent' }),
    isOrphan: () => Promise.resolve(false),
    signal: new AbortController().signal,
  };
}

/** As a publisher leaves them, a thousand at a time. */
async function insert(maker: ChainMaker, values: Iterable<{ key: Buffer; value: Buffer }>): Promise<void> {
  const some = [...values].map(({ key, value }) => maker.seal([{ table: TABLE.key, key, value }]));
  for (let at = 0; at < some.length; at += 1_000) {
    const rows = some.slice(at, at + 1_000);
    await scene.pool.query(
      `INSERT INTO revision (environment_id, revision, epoch, hash, root, issued_at, ops, bytes, xids)
       SELECT 'prod', r.revision, 1, r.hash, r.root, now(), 1, r.bytes, '{}'
       FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[]) AS r (revision, hash, root, bytes)`,
      [
        rows.map(({ header }) => header.revision),
        rows.map(({ hash }) => hash),
        rows.map(({ header }) => header.root),
        rows.map(({ bytes }) => bytes),
      ],
    );
  }
}

it('segments of the second level say what 4,096 revisions leave, the last write of each key', async () => {
  const maker = new ChainMaker();
  const value = Buffer.alloc(4);
  await insert(
    maker,
    Array.from({ length: 4_096 }, (_, i) => {
      value.writeUInt32BE(i);
      return { key: key(`key ${i % 100}`), value: Buffer.from(value) };
    }),
  );
  const context = contextOf(maker);
  await putSegmentsEndingAt(context, 4_096);
  expect(await namesOf(scene.store, 'segment/1')).toEqual([segmentName('prod', 1, 63)]);
  const object = await scene.store.get(segmentName('prod', 2, 0), LIMITS.segmentBytes);
  const segment = verifySegment(object?.bytes ?? Buffer.alloc(0), 'prod', context.trusted);
  expect(segment.header).toMatchObject({ level: 2, index: 0, hash: maker.position.hash });
  const ops = new Map(opsOf(segment).map((op) => [op.key.toString(), op.value?.readUInt32BE()]));
  expect(ops.size).toBe(100);
  for (let i = 3_996; i < 4_096; i++) expect(ops.get(key(`key ${i % 100}`).toString())).toBe(i);
});

it('a segment that would be too large is left out, and nothing else waits for it', async () => {
  const maker = new ChainMaker();
  const large = LIMITS.segmentBytes / 32;
  await insert(
    maker,
    Array.from({ length: 128 }, (_, i) => ({ key: key(`key ${i}`), value: randomBytes(i < 64 ? large : 8) })),
  );
  const context = contextOf(maker);
  await putSegmentsEndingAt(context, 64);
  expect(await namesOf(scene.store, 'segment/1')).toEqual([]);
  await putSegmentsEndingAt(context, 128);
  expect(await namesOf(scene.store, 'segment/1')).toEqual([segmentName('prod', 1, 1)]);
});
