import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REGIONS, type Region, Rig } from './rig.js';

const require = createRequire(import.meta.url);
const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];
/** Requests of a method that the test's own client can send. */
const SENDABLE = new Set(['get', 'put', 'post', 'delete', 'patch', 'head']);
const MANY = 2000;

interface OpenApi {
  paths?: Record<string, Record<string, unknown>>;
}

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.start();
});
afterAll(() => rig?.stop());

const operationsOf = (document: OpenApi): { method: string; path: string }[] =>
  Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ method, path })),
  );

/** Any value does for a parameter: the gateway does not look into them. */
const concrete = (path: string): string => path.replace(/\{[^}]*\}/g, 'x1');

/** Makes, imports and places an API from an OpenAPI document. @returns its id */
async function importAndPlace(name: string, document: OpenApi): Promise<string> {
  const { client } = rig.master;
  await client.post('/v1/apis', { name, version: 'v1' });
  const overrides = { upstream: { targets: [{ url: rig.upstream.url }] }, plans: ['free'] };
  const { body } = await client.post(`/v1/apis/${name}:v1/releases`, { openapi: document, overrides });
  await client.put(`/v1/placements/prod/${name}:v1/*`, { release: body.digest, reason: 'a test' });
  return `${name}:v1`;
}

/** Calls an operation in a region and looks at what its upstream got. */
async function callThrough(
  region: Region,
  context: string,
  key: string,
  { method, path }: { method: string; path: string },
): Promise<void> {
  rig.upstream.requests.length = 0;
  const { status } = await rig.call(region, context + concrete(path), key, { method: method.toUpperCase() });
  const what = `${method} ${path} in ${region}`;
  expect(status, what).toBe(200);
  expect(
    rig.upstream.requests.map((request) => `${request.method} ${request.url}`),
    what,
  ).toEqual([`${method.toUpperCase()} ${concrete(path)}`]);
}

describe('OpenAPI documents of the real world', () => {
  it("serve GitHub's more than 1,000 operations in both regions", async () => {
    const document = JSON.parse(
      readFileSync(require.resolve('@octokit/openapi/generated/api.github.com.json'), 'utf8'),
    ) as OpenApi;
    const operations = operationsOf(document);
    expect(operations.length).toBeGreaterThan(1000);
    const api = await importAndPlace('github', document);
    const { secret, revision } = await rig.consumer(api);
    await rig.everywhere(revision);
    const sample = operations.filter(({ method }, index) => index % 12 === 0 && SENDABLE.has(method));
    expect(sample.length).toBeGreaterThan(80);
    for (const operation of sample)
      for (const region of REGIONS) await callThrough(region, '/github/v1', secret, operation);
    const { body: releases } = await rig.master.client.get(`/v1/apis/${api}/releases`);
    const { body: release } = await rig.master.client.get(`/v1/apis/${api}/releases/${releases.items[0].digest}`);
    expect(release.report.operations).toBe(operations.length);
  }, 360_000);

  it('serve what other people publish', async () => {
    const root = dirname(require.resolve('@readme/oas-examples/package.json'));
    const names = [
      '3.0/json/petstore.json',
      '3.0/json/star-trek.json',
      '3.0/json/uspto.json',
      '3.1/json/petstore.json',
      '3.1/json/train-travel.json',
    ].filter((name) => readdirSync(join(root, dirname(name))).includes(name.split('/').at(-1) ?? ''));
    expect(names.length).toBeGreaterThanOrEqual(4);
    const documents = names.map((name, index) => ({
      name: `example-${index}`,
      document: JSON.parse(readFileSync(join(root, name), 'utf8')) as OpenApi,
    }));
    const apis = [];
    for (const { name, document } of documents) apis.push(await importAndPlace(name, document));
    const { secret, revision } = await rig.consumer(...apis);
    await rig.everywhere(revision);
    for (const { name, document } of documents) {
      for (const operation of operationsOf(document).filter(({ method }) => SENDABLE.has(method)))
        await callThrough('us-east', `/${name}/v1`, secret, operation);
    }
  });
});

describe(`${MANY} APIs of 20 routes`, () => {
  it('are placed in one revision, are served, and leave later revisions as small as before', async () => {
    const { client } = rig.master;
    const routes = Array.from({ length: 20 }, (_, i) => ({
      method: i % 2 ? 'GET' : 'POST',
      path: `/resource-${i}/{id}`,
    }));
    const small = await rig.consumer();
    const { body: before } = await client.get(`/v1/environments/prod/revisions/${small.revision.split('@')[1]}`);

    const items: { api: string; region: string; release: string }[] = [];
    const names = Array.from({ length: MANY }, (_, i) => `many-${i}`);
    const make = async (): Promise<void> => {
      for (let name = names.pop(); name; name = names.pop()) {
        await client.post('/v1/apis', { name, version: 'v1' });
        const { body } = await client.post(`/v1/apis/${name}:v1/releases`, {
          definition: { routes, upstream: { targets: [{ url: rig.upstream.url }] }, security: 'key', plans: ['free'] },
        });
        items.push({ api: `${name}:v1`, region: '*', release: body.digest });
      }
    };
    await Promise.all(Array.from({ length: 8 }, make));
    const { headers } = await client.post('/v1/placements', { environment: 'prod', items, reason: 'a test' });
    const placed = headers.get('heliograph-revision') ?? '';
    expect(placed).toMatch(/^prod@\d+$/);
    await Promise.all(REGIONS.map((region) => rig.reached(region, placed, 90_000)));

    const consumer = await rig.consumer('many-0:v1', 'many-999:v1', `many-${MANY - 1}:v1`);
    await rig.everywhere(consumer.revision);
    for (const api of ['many-0', 'many-999', `many-${MANY - 1}`]) {
      for (const region of REGIONS)
        expect((await rig.call(region, `/${api}/v1/resource-7/42`, consumer.secret)).status).toBe(200);
      expect((await rig.call('eu-west', `/${api}/v1/resource-7`, consumer.secret)).code).toBe('no_such_route');
    }
    expect((await rig.call('eu-west', '/many-1/v1/resource-7/42', consumer.secret)).code).toBe('not_subscribed');
    const again = await rig.consumer();
    const { body: after } = await client.get(`/v1/environments/prod/revisions/${again.revision.split('@')[1]}`);
    expect(after.bytes).toBe(before.bytes);
  }, 900_000);
});
