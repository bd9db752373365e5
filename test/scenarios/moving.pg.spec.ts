import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { helio } from '#harness';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Rig } from './rig.js';

const EXAMPLES = new URL('../../docs/examples/moving/', import.meta.url);

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.start();
});
afterAll(() => rig.stop());

/** The examples as they are published, but for the upstreams, which are here, and what two of them would both take. */
function example(name: string): string {
  const directory = join(rig.directory, 'exports');
  mkdirSync(directory, { recursive: true });
  const text = readFileSync(new URL(name, EXAMPLES), 'utf8')
    .replace(/http:\/\/(weather|status|partners)(-[ab])?\.internal(:\d+)?/g, rig.upstream.url)
    .replaceAll('"/weather/"', '"/forecast/"')
    .replaceAll('"Gold"', '"Golden"')
    .replaceAll('"Weather"', '"Forecast"')
    .replaceAll('"/orders/v2/"', '"/orders/v3/"');
  const file = join(directory, name);
  writeFileSync(file, text);
  return file;
}

async function run(...args: string[]): Promise<string> {
  const env = { HELIO_SERVER: rig.master.url, HELIO_TOKEN: rig.master.adminToken };
  const { code, stdout, stderr } = await helio(args, { env });
  if (code !== 0) throw new Error(`helio ${args.join(' ')} ended with ${code}: ${stderr}`);
  return stdout;
}

const call = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> =>
  fetch(rig.replicas['eu-west'].gateway + path, { headers, method });

describe('what was converted from Kong', () => {
  const CRM = 'crm-0123456789abcdef';

  beforeAll(async () => {
    const directory = join(rig.directory, 'kong');
    await run('import', 'kong', example('kong.yaml'), '-o', directory, '-e', 'prod');
    expect(await run('apply', '-f', directory, '--yes', '--set', 'kong')).toContain('Applied: prod@');
    await run('diff', '-f', directory, '--set', 'kong'); // fails where something is left to be done
    const lines = join(directory, 'consumers.ndjson');
    expect(await run('import', '-f', lines)).toContain('10 created, 0 updated, 0 unchanged, 0 failed');
    expect(await run('import', '-f', lines)).toContain('0 created, 0 updated, 10 unchanged, 0 failed');
    const { body } = await rig.master.client.get('/v1/environments/prod/revisions?limit=1');
    await rig.everywhere(`prod@${body.items[0].revision}`);
  });

  it('lets consumers in with the keys that they had, and sends on what the upstream got before', async () => {
    for (const response of [
      await call('/weather/v1/cities?q=1', { apikey: CRM, 'x-debug': '1' }),
      await call(`/weather/v1/cities?q=1&apikey=${CRM}`, { 'x-debug': '1' }),
    ]) {
      expect(response.status).toBe(200);
      const seen = (await response.json()) as { url: string; headers: Record<string, string> };
      expect(seen.url).toBe('/api/cities?q=1');
      expect(seen.headers).toMatchObject({ 'x-gateway': 'edge' });
      expect(Object.keys(seen.headers)).not.toEqual(expect.arrayContaining(['apikey']));
      expect(seen.headers['x-debug']).toBeUndefined();
    }
    expect((await call('/weather/v1/cities', { apikey: CRM }, 'DELETE')).status).toBe(405);
  });

  it('keeps out whom Kong kept out', async () => {
    const status = async (path: string, headers?: Record<string, string>): Promise<number> =>
      (await call(path, headers)).status;
    expect(await status('/weather/v1/cities')).toBe(401);
    expect(await status('/weather/v1/cities', { apikey: 'crm-0123456789abcdee' })).toBe(401);
    expect(await status('/weather/v1/cities', { apikey: 'short' })).toBe(403); // in no group that is let in
    expect(await status('/files/report', { 'x-api-key': CRM })).toBe(403); // basic authentication kept him out
    expect(await status('/files/report')).toBe(401);
    expect(await status('/orders/v2/health')).toBe(401);
    expect(await status('/status')).toBe(200);
  });

  it('holds the limit of a consumer group', async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => call('/weather/v1/cities', { apikey: 'shop-0123456789abcdef' })),
    );
    const admitted = answers.filter(({ status }) => status === 200).length;
    // 10 at once, and one more every 3 seconds that it takes
    expect(admitted).toBeGreaterThanOrEqual(10);
    expect(admitted).toBeLessThan(40);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 429]));
  });
});

describe('what was converted from Tyk', () => {
  it('blocks, answers, opens and edits as it did, on the plans of its policies', async () => {
    const directory = join(rig.directory, 'tyk');
    const files = ['tyk-classic.json', 'tyk-oas.json', 'tyk-policies.json'].map(example);
    await run('import', 'tyk', ...files, '-o', directory, '-e', 'prod');
    await run('apply', '-f', directory, '--yes', '--set', 'tyk');
    const { client } = rig.master;
    const { body: application } = await client.post('/v1/applications', { name: 'reader' });
    await client.post('/v1/subscriptions', { application: application.id, api: 'forecast:v1', plan: 'golden' });
    const { body: key, headers } = await client.post(`/v1/applications/${application.id}/keys`, {
      environment: 'prod',
    });
    await rig.everywhere(headers.get('heliograph-revision') ?? '');

    const with_ = { 'X-Weather-Key': key.secret as string, 'X-Debug': '1' };
    const health = await call('/forecast/health');
    expect([health.status, await health.text()]).toEqual([200, 'ok']);
    expect((await call('/forecast/cities/7')).status).toBe(401);
    expect((await call('/forecast/admin/users', with_)).status).toBe(403);
    const city = await call('/forecast/cities/7', with_);
    expect(city.status).toBe(200);
    const seen = (await city.json()) as { url: string; headers: Record<string, string> };
    expect(seen.url).toBe('/api/cities/7');
    expect(seen.headers).toMatchObject({ 'x-source': 'gateway', 'x-gateway': 'edge' });
    expect(seen.headers['x-weather-key']).toBeUndefined();
    expect(seen.headers['x-debug']).toBeUndefined();
    // only what was allowed is there
    expect((await call('/orders/v3/legacy', { 'X-Orders-Key': key.secret as string })).status).toBe(403);
    expect((await call('/orders/v3/other', { 'X-Orders-Key': key.secret as string })).status).toBe(404);
  });
});
