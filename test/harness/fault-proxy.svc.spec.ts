import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ArtifactStore, openStore } from '#artifacts';
import { type FaultProxy, faultProxy } from './fault-proxy.js';
import { describeWith } from './needs.js';
import { type S3Service, startMinio, startVersityGw } from './services.js';

describeWith('minio', 'a fault proxy before MinIO', () => behaviour(startMinio));
describeWith('versitygw', 'a fault proxy before versitygw', () => behaviour(startVersityGw));

const BYTES = Buffer.from('some bytes of an object');

function behaviour(start: () => Promise<S3Service>): void {
  let service: S3Service;
  let proxy: FaultProxy;
  let store: ArtifactStore;
  let tag: string;

  beforeAll(async () => {
    service = await start();
    proxy = await faultProxy(service);
    store = openStore(`s3://faults-${process.pid}`, { s3: proxy.s3, create: true, timeoutMs: 2_000 });
    const replaced = await store.replace('a', BYTES, null);
    tag = replaced.kind === 'replaced' ? replaced.etag : '';
  });
  afterEach(() => proxy.set(null));
  afterAll(async () => {
    await store.close();
    await proxy.close();
    await service.stop();
  });

  const read = async (): Promise<string | undefined> => (await store.get('a', 100))?.bytes.toString();
  const write = (): Promise<string> => store.create('a', BYTES);
  const code = (work: Promise<unknown>): Promise<string> =>
    work.then(String, (error: unknown) => (error as { code: string }).code);

  it('passes signed requests and conditions unchanged', async () => {
    expect(await read()).toBe(BYTES.toString());
    expect(await store.getIfChanged('a', tag, 100)).toEqual({ kind: 'unchanged' });
    expect(await write()).toBe('exists');
    expect(await store.probe()).toEqual({ createOnly: true, ifMatch: true });
    expect(proxy.hits).toBe(0);
  });

  describe.each([
    ['gone', { kind: 'gone' }, 'store_unreachable', 'store_unreachable', 0],
    ['hanging', { kind: 'hanging' }, 'store_timeout', 'store_timeout', 2],
    ['slow', { kind: 'slow', ms: 50 }, BYTES.toString(), 'exists', 2],
    ['busy', { kind: 'busy', share: 1 }, 'store_unreachable', 'store_unreachable', 2],
    ['cutting', { kind: 'cutting', share: 1 }, 'store_unreachable', 'exists', 2],
    ['truncating', { kind: 'truncating' }, BYTES.subarray(0, BYTES.length / 2).toString(), 'exists', 1],
    ['full', { kind: 'full' }, BYTES.toString(), 'store_full', 1],
    ['read-only', { kind: 'read-only' }, BYTES.toString(), 'store_denied', 1],
    ['unconditional', { kind: 'unconditional' }, BYTES.toString(), 'created', 1],
  ] as const)('%s', (_, fault, reading, writing, hits) => {
    it('does what it says, until it is over', async () => {
      await proxy.set(fault);
      expect(await Promise.all([code(read()), code(write())])).toEqual([reading, writing]);
      expect(proxy.hits).toBe(hits);
      await proxy.set(null);
      expect(await Promise.all([read(), write()])).toEqual([BYTES.toString(), 'exists']);
    });
  });
}
