import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type StartedApp, startApp } from '../testing/start-app.js';

let app: StartedApp;
let application: string;
let path: string;
beforeAll(async () => {
  app = await startApp();
  await app.call('POST', '/v1/environments', { id: 'prod', position: 1 });
});
afterAll(() => app?.stop());
beforeEach(async () => {
  application = (await app.call('POST', '/v1/applications', { name: 'shop' })).body.id;
  path = `/v1/applications/${application}/keys`;
});

const expiryOf = async (key: string): Promise<number> =>
  Date.parse((await app.call('GET', `${path}/${key}`)).body.expiresAt);

describe('a key', () => {
  it('that is rotated without a body works for a day more, as with an empty one', async () => {
    for (const body of [undefined, {}]) {
      const { body: old } = await app.call('POST', path, { environment: 'prod' });
      expect((await app.call('POST', `${path}/${old.id}/rotate`, body)).status).toBe(201);
      expect(Math.abs((await expiryOf(old.id)) - Date.now() - 86_400_000)).toBeLessThan(60_000);
    }
    const { paths } = (await app.call('GET', '/openapi.json')).body;
    const bodyless = Object.keys(paths).filter((each) => paths[each].post?.requestBody?.required === false);
    expect(new Set(bodyless.map((each) => each.split('/').at(-1)))).toEqual(
      new Set(['revoke', 'revoke-tokens', 'rotate']),
    );
  });

  it('ends at a whole second, rounded up, as gateways have it: issued, rotated and imported', async () => {
    const fields = { environment: 'prod', expiresAt: '2040-01-01T00:00:00.001Z' };
    const { body: key } = await app.call('POST', path, fields);
    expect(key.expiresAt).toBe('2040-01-01T00:00:01.000Z');
    const before = Date.now();
    await app.call('POST', `${path}/${key.id}/rotate`, { overlapSeconds: 1 });
    const end = await expiryOf(key.id);
    expect(end % 1000).toBe(0);
    expect(end).toBeGreaterThanOrEqual(before + 1000);

    const line = { ...fields, kind: 'key', application, sha256: createHash('sha256').update('imported').digest('hex') };
    const ndjson = { 'content-type': 'application/x-ndjson' };
    for (const outcome of ['created', 'unchanged'])
      expect((await app.call('POST', '/v1/import', JSON.stringify(line), ndjson)).body).toContain(`"${outcome}"`);
    const { items } = (await app.call('GET', path)).body;
    expect(items.at(-1)).toMatchObject({ hint: null, expiresAt: '2040-01-01T00:00:01.000Z' });
  });
});
