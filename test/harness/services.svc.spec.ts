import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from './needs.js';
import { startNginx } from './nginx.js';
import { type RedisService, type S3Service, s3Client, startMinio, startRedis, startVersityGw } from './services.js';

describeWith('minio', 'MinIO for tests', () => s3Behaviour(startMinio));
describeWith('versitygw', 'versitygw for tests', () => s3Behaviour(startVersityGw));

function s3Behaviour(start: () => Promise<S3Service>): void {
  let service: S3Service;
  beforeAll(async () => {
    service = await start();
  });
  afterAll(() => service.stop());

  it('creates an object once, and replaces it only by its ETag', async () => {
    const client = s3Client(service);
    const bucket = `harness-${process.pid}`;
    await client.makeBucket(bucket);
    const created = await client.putObject(bucket, 'head.json', 'one', 3, { 'If-None-Match': '*' });
    await expect(client.putObject(bucket, 'head.json', 'two', 3, { 'If-None-Match': '*' })).rejects.toThrow(
      /condition/i,
    );
    await client.putObject(bucket, 'head.json', 'two', 3, { 'If-Match': created.etag });
    await expect(client.putObject(bucket, 'head.json', 'six', 3, { 'If-Match': created.etag })).rejects.toThrow(
      /condition/i,
    );
    await client.removeObject(bucket, 'head.json');
    await client.removeBucket(bucket);
  });

  it('refuses a wrong secret', async () => {
    const client = s3Client({ ...service, secretKey: 'not-the-secret' });
    await expect(client.listBuckets()).rejects.toThrow();
  });

  it('is gone after stop, with its process', async (context) => {
    const own = await start();
    if (own.pid === undefined) return context.skip('S3_ENDPOINT is set: that server is not stopped by tests');
    await own.stop();
    expect(() => process.kill(own.pid ?? 0, 0)).toThrow('ESRCH');
    await expect(s3Client(own).listBuckets()).rejects.toThrow();
  });
}

describeWith('redis', 'Redis for tests', () => {
  let service: RedisService;
  beforeAll(async () => {
    service = await startRedis();
  });
  afterAll(() => service.stop());

  it('asks for the password that its URL carries', async (context) => {
    if (service.pid === undefined) return context.skip('REDIS_URL is set: it may have no password');
    const { hostname, port, password } = new URL(service.url);
    const say = (text: string) =>
      new Promise<string>((resolve, reject) => {
        const socket = connect(Number(port), hostname, () => socket.end(text));
        let reply = '';
        socket.on('data', (chunk) => (reply += chunk.toString()));
        socket.on('close', () => resolve(reply)).on('error', reject);
      });
    await expect(say(`AUTH ${password}\r\nPING\r\n`)).resolves.toContain('+PONG');
    await expect(say('PING\r\n')).resolves.toContain('NOAUTH');
  });
});

describeWith('nginx', 'nginx for tests', () => {
  it('serves what its configuration says, and is gone after stop', async () => {
    const nginx = await startNginx({
      server: 'location / { return 200 $said; }',
      http: 'map $uri $said { default yes; }',
    });
    const url = `http://127.0.0.1:${nginx.port}/`;
    expect(await (await fetch(url)).text()).toBe('yes');
    await nginx.stop();
    await expect(fetch(url)).rejects.toThrow();
  });

  it('says what is wrong with a configuration', async () => {
    await expect(startNginx({ server: 'nonsense on;' })).rejects.toThrow(/unknown directive "nonsense"/);
  });
});
