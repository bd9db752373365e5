import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { describeWith, pauseProcess, type S3Service, s3Client, startMinio, startVersityGw } from '#harness';
import { everyCall, failureOf, storeConformance } from '../testing/store-conformance.js';
import { type ArtifactStore, StoreError } from './artifact-store.js';
import { openStore, type StoreOptions } from './open-store.js';

const LIMIT = 8 * 1024 * 1024;
const X = Buffer.from('x');
const servers = [
  ['minio', startMinio],
  ['versitygw', startVersityGw],
] as const;

for (const [need, start] of servers) {
  describeWith(need, `S3 store on ${need}`, () => {
    let s3: S3Service;
    /** buckets of this run: the server may be somebody's own */
    const buckets: string[] = [];
    const bucket = (): string => {
      buckets.push(`helio-${randomBytes(6).toString('hex')}`);
      return buckets.at(-1) ?? '';
    };
    const store = (url: string, options: StoreOptions = {}): ArtifactStore => openStore(url, { s3, ...options });

    beforeAll(async () => {
      s3 = await start();
    });
    afterAll(async () => {
      for (const name of buckets) await removeBucket(s3, name);
      await s3.stop();
    });

    storeConformance(need, () => {
      const url = `s3://${bucket()}/some/prefix`;
      return Promise.resolve({ store: store(url, { create: true }), again: () => store(url) });
    });

    it('names the missing bucket, makes it when told to, and not again once it has seen it', async () => {
      const name = bucket();
      const reader = store(`s3://${name}`);
      for (const call of everyCall(reader, 'prod/head.json')) {
        const error = await failureOf(call());
        expect(error).toMatchObject({ code: 'store_unreachable', retriable: true });
        expect(error.message).toContain(`s3://${name} at ${s3.endpoint}`);
        expect(error.message).toContain('NoSuchBucket');
      }
      const careful = store(`s3://${name}`, { create: () => Promise.resolve(false) });
      await expect(careful.create('prod/head.json', X)).rejects.toThrow('NoSuchBucket');
      const makers = Array.from({ length: 4 }, () => store(`s3://${name}`, { create: true }));
      // versitygw answers 500 while another call makes the bucket: retriable, and retried as every caller of a store does.
      // Whoever repeats a create may find its own bytes there, so that nobody may be told 'created'.
      const outcomes = await Promise.all(makers.map((maker) => insist(() => maker.create('prod/head.json', X))));
      expect(outcomes.filter((outcome) => outcome === 'created').length).toBeLessThanOrEqual(1);
      expect((await reader.get('prod/head.json', LIMIT))?.bytes).toEqual(X);

      await reader.delete('prod/head.json');
      await s3Client(s3).removeBucket(name);
      await expect(makers[0]?.create('prod/head.json', X)).rejects.toMatchObject({ code: 'store_unreachable' });
      expect(await s3Client(s3).bucketExists(name)).toBe(false);
    });

    it('keeps stores with different prefixes in one bucket apart', async () => {
      const name = bucket();
      await store(`s3://${name}/one`, { create: true }).create('prod/head.json', X);
      expect(await store(`s3://${name}/two/`).get('prod/head.json', LIMIT)).toBeNull();
      expect(await store(`s3://${name}/one/`).get('prod/head.json', LIMIT)).toMatchObject({ bytes: X });
    });

    it('is denied with a wrong secret or access key, and tells neither', async () => {
      const url = `s3://${bucket()}`;
      await store(url, { create: true }).create('prod/head.json', X);
      const wrong = { ...s3, accessKey: 'hidden-access-key', secretKey: 'hidden-secret-key' };
      for (const settings of [{ ...s3, secretKey: wrong.secretKey }, wrong]) {
        const denied = openStore(url, { s3: settings });
        for (const call of everyCall(denied, 'prod/head.json')) {
          const error = await failureOf(call());
          expect(error, error.message).toMatchObject({ code: 'store_denied', retriable: false });
          const everything = inspect([error, denied], { depth: 9, showHidden: true }) + JSON.stringify([error, denied]);
          expect(everything).not.toMatch(/hidden-|X-Amz-Signature/);
          expect(everything).not.toContain(s3.secretKey);
        }
      }
    });

    it('gives up in time on a server that does not answer, and works when it does again', async (context) => {
      const pid = s3.pid ?? context.skip('the server is not ours to stop');
      const url = `s3://${bucket()}`;
      await store(url, { create: true }).create('prod/head.json', X);
      const hasty = store(url, { timeoutMs: 150 });
      const head = await store(url).get('prod/head.json', LIMIT);
      await pauseProcess(pid);
      try {
        // What was sent is done once the server goes on: not to the object that is looked at afterwards.
        for (const call of everyCall(hasty, 'prod/delta/1')) {
          await expect(call()).rejects.toMatchObject({ code: 'store_timeout', retriable: true });
        }
        const controller = new AbortController();
        const reason = new Error('stopping');
        const reading = store(url).get('prod/head.json', LIMIT, controller.signal);
        controller.abort(reason);
        await expect(reading).rejects.toBe(reason);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      expect(await store(url).get('prod/head.json', LIMIT)).toEqual(head);
      expect(await store(url).create('prod/delta/2', X)).toBe('created');
    });

    describe('behind a connection that breaks', () => {
      let line: Line;
      let cut: ArtifactStore;
      beforeAll(async () => {
        line = new Line(new URL(s3.endpoint));
        await line.up();
        cut = store(`s3://${bucket()}`, { create: true, s3: { ...s3, endpoint: `http://127.0.0.1:${line.port}` } });
        await cut.create('prod/head.json', X);
      });
      afterAll(() => line.down());

      it('is unreachable while the server is gone, and works again once it is back', async (context) => {
        skipTls(context, s3);
        await line.down();
        for (const call of everyCall(cut, 'prod/head.json')) {
          await expect(call()).rejects.toMatchObject({ code: 'store_unreachable', retriable: true });
        }
        await line.up();
        expect((await cut.get('prod/head.json', LIMIT))?.bytes).toEqual(X);
        expect(await cut.create('prod/delta/1', X)).toBe('created');
      });

      it('never takes the beginning of an object for the object, nor leaves one', async (context) => {
        skipTls(context, s3);
        const bytes = randomBytes(3 * 1024 * 1024);
        expect(await cut.create('prod/delta/2', bytes)).toBe('created');
        line.breakAfter = 1024 * 1024;
        await expect(cut.get('prod/delta/2', LIMIT)).rejects.toMatchObject({ code: 'store_unreachable' });
        await expect(cut.create('prod/delta/3', bytes)).rejects.toMatchObject({ code: 'store_unreachable' });
        line.breakAfter = Number.POSITIVE_INFINITY;
        expect((await cut.get('prod/delta/2', LIMIT))?.bytes.equals(bytes)).toBe(true);
        expect(await cut.get('prod/delta/3', LIMIT)).toBeNull();
      });
    });
  });
}

async function removeBucket(s3: S3Service, name: string): Promise<void> {
  const client = s3Client(s3);
  if (!(await client.bucketExists(name))) return;
  for await (const { name: key } of client.listObjectsV2(name, '', true) as AsyncIterable<{ name: string }>) {
    await client.removeObject(name, key);
  }
  await client.removeBucket(name);
}

function skipTls(context: TestContext, s3: S3Service): void {
  if (s3.endpoint.startsWith('https:')) context.skip('the certificate at S3_ENDPOINT is not for 127.0.0.1');
}

/** A TCP line to a server, that can be taken down and put up at the same port, and break after so many bytes. */
class Line {
  port = 0;
  breakAfter = Number.POSITIVE_INFINITY;
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();

  constructor(private readonly to: URL) {}

  async up(): Promise<void> {
    this.#server = createServer((near) => this.#join(near));
    this.#server.listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as { port: number }).port;
  }

  async down(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server?.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(near: Socket): void {
    const far = connect(Number(this.to.port || 80), this.to.hostname);
    let passed = 0;
    for (const [from, onto] of [[near, far] as const, [far, near] as const]) {
      this.#sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => onto.destroy());
      from.on('data', (chunk) => {
        passed += chunk.length;
        if (passed > this.breakAfter) from.destroy();
      });
      from.pipe(onto);
    }
  }
}

/** Repeats what failed in a way that may pass; the test's own time bounds it. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof StoreError && error.code === 'store_failed' && error.retriable)) throw error;
    }
  }
}
