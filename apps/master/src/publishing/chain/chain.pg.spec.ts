import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  blobName,
  deltaName,
  headName,
  HttpReader,
  LIMITS,
  openStore,
  segmentName,
  snapshotName,
  TrustedKeys,
  verifyHead,
} from '#artifacts';
import { until } from '#harness';
import { good, settle } from '../../testing/answers.js';
import { type StartedApp, startApp } from '../../testing/start-app.js';

let app: StartedApp;
let token: string;
let trusted: TrustedKeys;
let reader: HttpReader;

beforeAll(async () => {
  app = await startApp();
  await settle(app, { prod: ['eu-west'], dev: [] });
  const { token: joinToken } = await good(app.call('POST', '/v1/join-tokens', { region: 'eu-west' }));
  const body = { token: joinToken, region: 'eu-west', environment: 'prod', build: '0.1.0' };
  const joined = await good(app.call('POST', '/v1/replicas/join', body, { authorization: '' }));
  token = joined.token;
  trusted = new TrustedKeys(joined.trustedKeys);
  reader = new HttpReader(`${app.url}/v1/chain`, { headers: { authorization: `Bearer ${token}` } });
  await good(app.call('POST', '/v1/plans', { id: 'gold' }));
});
afterAll(async () => {
  await reader?.close();
  await app?.stop();
});

const revision = async (): Promise<number> => {
  const object = await reader.get(headName('prod'), LIMITS.headBytes);
  return object ? verifyHead(object.bytes, 'prod', trusted).revision : -1;
};

describe('the chain over HTTP', () => {
  it('has a head that is signed now, and is not sent again while it says the same', async () => {
    await until(async () => (await revision()) === 1, { what: 'the revision' });
    const first = await reader.get(headName('prod'), LIMITS.headBytes);
    const head = verifyHead(first?.bytes ?? Buffer.alloc(0), 'prod', trusted);
    expect(head).toMatchObject({ revision: 1, epoch: 1, snapshot: null });
    expect(head.expiresAt).toBeGreaterThan(Date.now());
    expect(await reader.getIfChanged(headName('prod'), first?.etag ?? '', LIMITS.headBytes)).toEqual({
      kind: 'unchanged',
    });
    await good(app.call('POST', '/v1/plans', { id: 'silver' }));
    await until(async () => (await revision()) === 2, { what: 'the next revision' });
    expect((await reader.getIfChanged(headName('prod'), first?.etag ?? '', LIMITS.headBytes)).kind).toBe('object');
  });

  it('has the exact bytes of each revision, and their size', async () => {
    const [row] = await app.source.query('SELECT bytes FROM revision WHERE environment_id = $1 AND revision = 1', [
      'prod',
    ]);
    expect((await reader.get(deltaName('prod', 1), LIMITS.bodyBytes))?.bytes.equals(row.bytes)).toBe(true);
    expect(await reader.size(deltaName('prod', 1))).toBe(row.bytes.length);
    await expect(reader.get(deltaName('prod', 1), 10)).rejects.toMatchObject({ code: 'store_too_large' });
    expect(await reader.get(deltaName('prod', 999), LIMITS.bodyBytes)).toBeNull();
    expect(await reader.size(deltaName('prod', 999))).toBeNull();
  });

  it('passes on what lies in the store, and says that it is not there', async () => {
    const store = openStore(`file://${app.storeDirectory}`);
    const names = [segmentName('prod', 1, 0), snapshotName('prod', 2), blobName('prod', 'ab'.repeat(32))];
    for (const name of names) {
      expect(await reader.get(name, 1_000)).toBeNull();
      expect(await reader.size(name)).toBeNull();
      await store.create(name, Buffer.from(name));
      const object = await reader.get(name, 1_000);
      expect(object?.bytes.toString()).toBe(name);
      expect(await reader.size(name)).toBe(name.length);
      expect(await reader.getIfChanged(name, object?.etag ?? '', 1_000)).toEqual({ kind: 'unchanged' });
    }
    await store.close();
  });

  it('is for replicas of the environment only', async () => {
    const statusOf = async (path: string, authorization: string): Promise<number> =>
      (await fetch(`${app.url}/v1/chain/${path}`, { headers: { authorization } })).status;
    expect(await statusOf('prod/head.json', `Bearer ${token}`)).toBe(200);
    expect(await statusOf('dev/head.json', `Bearer ${token}`)).toBe(403);
    expect(await statusOf('prod/head.json', `Bearer ${app.admin}`)).toBe(401);
    expect(await statusOf('prod/head.json', '')).toBe(401);
    for (const path of ['prod/delta/1', 'prod/segment/4/000000000000', 'prod/blob/..', 'prod/delta/00000000000x'])
      expect(await statusOf(path, `Bearer ${token}`), path).toBe(path.endsWith('..') ? 404 : 400);
  });
});
