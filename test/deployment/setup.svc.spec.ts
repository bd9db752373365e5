import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { describeWith, type S3Service, s3Client, startMinio } from '#harness';

const SETUP = fileURLToPath(new URL('../../docker/setup/', import.meta.url));
const REGIONS = 'prod/eu-west,prod/ap-south,staging/staging-eu';
const VOLUMES = [
  'all',
  'postgres',
  'redis',
  'minio',
  'master',
  'operator',
  'grafana',
  'eu-west',
  'ap-south',
  'staging-eu',
];
const directory = mkdtempSync(join(tmpdir(), 'heliograph-setup-'));
for (const volume of VOLUMES) mkdirSync(join(directory, volume));
afterAll(() => rmSync(directory, { recursive: true }));

interface User {
  accessKey: string;
  secretKey: string;
}
interface Secrets {
  adminToken: string;
  minio: { root: User; masters: User };
  regions: Record<string, { redis: string; store: User }>;
}

function setUp(script: string, env: Record<string, string> = {}): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(SETUP, script)], {
    env: { SECRETS: directory, REGIONS, ...env },
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}
const kept = (): Secrets => JSON.parse(readFileSync(join(directory, 'all/secrets.json'), 'utf8')) as Secrets;
const read = (name: string): string => readFileSync(join(directory, name), 'utf8');
const everything = (): Record<string, string> =>
  Object.fromEntries(
    VOLUMES.flatMap((volume) =>
      readdirSync(join(directory, volume)).map((file) => [`${volume}/${file}`, read(`${volume}/${file}`)]),
    ),
  );

describe('docker/setup/secrets.mjs', () => {
  it('makes secrets once, and makes again what a volume lacks', () => {
    setUp('secrets.mjs');
    const first = everything();
    expect(Object.keys(first)).toContain('ap-south/region.yaml');
    expect(setUp('secrets.mjs')).toBe('');
    rmSync(join(directory, 'master/signing.pem'));
    expect(setUp('secrets.mjs')).toBe('made master/signing.pem\n');
    expect(everything()).toEqual(first);
  });

  it('gives each region what no other has', () => {
    const { regions, minio, adminToken } = kept();
    const [west, south] = [regions['eu-west']!, regions['ap-south']!];
    const settings = parse(read('eu-west/region.yaml')) as Record<string, string>;
    expect(settings).toMatchObject({
      HELIO_ENVIRONMENT: 'prod',
      HELIO_REGION: 'eu-west',
      S3_SECRET_KEY: west.store.secretKey,
    });
    for (const foreign of [
      south.redis,
      south.store.secretKey,
      minio.root.secretKey,
      minio.masters.secretKey,
      adminToken,
    ])
      expect(read('eu-west/region.yaml') + read('eu-west/redis.conf')).not.toContain(foreign);
  });
});

describeWith('minio', 'docker/setup/store-users.mjs', () => {
  let minio: S3Service;
  const [BUCKET, PREFIX] = ['setup-test', 'main'];
  const [PROD, STAGING] = ['main/prod/head.json', 'main/staging/head.json'];
  const as = ({ accessKey, secretKey }: User) =>
    s3Client({ endpoint: minio.endpoint, region: minio.region, accessKey, secretKey });

  beforeAll(async () => {
    minio = await startMinio();
    setUp('secrets.mjs');
    const { accessKey, secretKey } = minio;
    const known = kept();
    known.minio.root = { accessKey, secretKey };
    rmSync(join(directory, 'all/secrets.json'));
    writeFileSync(join(directory, 'all/secrets.json'), JSON.stringify(known));
    for (let i = 0; i < 2; i++) setUp('store-users.mjs', { STORE_URL: minio.endpoint, BUCKET, PREFIX });
  });
  afterAll(() => minio?.stop());

  it('lets masters make their bucket and write to it, and no other', async () => {
    const masters = as(kept().minio.masters);
    await masters.makeBucket(BUCKET);
    for (const head of [PROD, STAGING]) await masters.putObject(BUCKET, head, '{}');
    await expect(masters.makeBucket('another')).rejects.toThrow(/Access Denied/);
  });

  it.each([
    ['eu-west', PROD, STAGING],
    ['ap-south', PROD, STAGING],
    ['staging-eu', STAGING, PROD],
  ])('lets the replicas of %s read what is of their environment and nothing else', async (region, own, foreign) => {
    const replicas = as(kept().regions[region]!.store);
    expect(await text(await replicas.getObject(BUCKET, own))).toBe('{}');
    await expect(replicas.getObject(BUCKET, foreign)).rejects.toThrow(/Access Denied/);
    const missing = own.replace('head.json', 'delta/000000000001');
    await expect(replicas.getObject(BUCKET, missing)).rejects.toMatchObject({ code: 'NoSuchKey' });
    await expect(replicas.putObject(BUCKET, own, '{"forged":true}')).rejects.toThrow(/Access Denied/);
    await expect(replicas.removeObject(BUCKET, own)).rejects.toThrow(/Access Denied/);
    await expect(replicas.makeBucket('another')).rejects.toThrow(/Access Denied/);
  });
});
