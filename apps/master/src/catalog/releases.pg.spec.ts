import { hash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canonicalJson } from '#platform';
import { auditOf, good, outcome, pages } from '../testing/answers.js';
import { type CallAnswer, type StartedApp, startApp } from '../testing/start-app.js';

let app: StartedApp;
beforeAll(async () => {
  app = await startApp();
  for (const id of ['bronze', 'gold']) await good(app.call('POST', '/v1/plans', { id }));
  for (const name of ['weather', 'maps']) await good(app.call('POST', '/v1/apis', { name, version: 'v1' }));
});
afterAll(() => app?.stop());

const definition = {
  routes: [{ method: 'GET', path: '/today' }],
  upstream: { targets: [{ url: 'http://127.0.0.1:9' }] },
  security: 'key',
  plans: ['gold'],
};
const whole = { ...definition, name: 'weather', version: 'v1', context: '/weather/v1' };
const document = `openapi: 3.1.0
info: {title: Weather, version: 1.0.0}
servers: [{url: https://weather.example}]
paths:
  /today: {get: {operationId: today, responses: {}}}
  /cities/{id}: {get: {operationId: city, responses: {}}, delete: {responses: {}}}
`;

const post = (body: unknown, api = 'weather:v1', headers: Record<string, string> = {}) =>
  app.call('POST', `/v1/apis/${api}/releases`, body, headers);
const postYaml = (query: string, type = 'application/yaml', text: string | Buffer = document) =>
  app.call('POST', `/v1/apis/maps:v1/releases${query}`, text, { 'content-type': type });
const faultOf = ({ status, body }: CallAnswer) => ({ status, code: body.code, errors: body.errors });

describe('a release of a definition', () => {
  it('has the digest of its canonical JSON, and is found when it is made again', async () => {
    const made = await post({ definition });
    const digest = hash('sha256', canonicalJson(whole), 'hex');
    expect(made.status).toBe(201);
    expect(made.body).toEqual({
      digest,
      api: 'weather:v1',
      routes: 1,
      plans: ['gold'],
      createdAt: expect.any(String),
      createdBy: 'bootstrap',
      report: null,
    });
    expect([made.headers.get('etag'), made.headers.get('location')]).toEqual([
      `"${digest}"`,
      `/v1/apis/weather:v1/releases/${digest}`,
    ]);
    const again = await post({ definition: Object.fromEntries(Object.entries(whole).reverse()) });
    expect([again.status, again.body, again.headers.get('etag')]).toEqual([200, made.body, `"${digest}"`]);
    const read = await app.call('GET', `/v1/apis/weather:v1/releases/${digest}`);
    expect(read.body).toEqual({ ...made.body, definition: whole });
    expect(read.headers.get('etag')).toBe(`"${digest}"`);
    const [row]: { definition: Buffer }[] = await app.source.query('SELECT definition FROM release WHERE digest = $1', [
      Buffer.from(digest, 'hex'),
    ]);
    expect(hash('sha256', row!.definition, 'hex')).toBe(digest);
    expect(await auditOf(app, `release/${digest}`)).toMatchObject([
      { action: 'release.create', after: { api: 'weather:v1', plans: ['gold'] } },
    ]);
  });

  it('is made once, however many send it at the same time', async () => {
    const same = { definition: { ...definition, plans: [] } };
    const answers = await Promise.all(Array.from({ length: 10 }, () => post(same)));
    const statuses = answers.map((answer) => answer.status);
    expect(statuses.sort((a, b) => a - b)).toEqual([...Array.from({ length: 9 }, () => 200), 201]);
    expect(new Set(answers.map((answer) => answer.body.digest)).size).toBe(1);
    expect(await auditOf(app, `release/${answers[0]?.body.digest}`)).toHaveLength(1);
  });

  it('is refused with each fault named, and nothing is written', async () => {
    const before = await pages(app, '/v1/apis/weather:v1/releases', 200);
    expect(faultOf(await post({ definition: { ...definition, context: '/elsewhere', colour: 1 } }))).toMatchObject({
      status: 422,
      code: 'definition_invalid',
      errors: [
        {
          field: 'definition.context',
          problem: 'is not that of the API "weather:v1"',
          expected: '"/weather/v1", or leave it out',
        },
      ],
    });
    expect(await outcome(post({ definition: { ...definition, colour: 1, plans: undefined } }))).toBe(
      '422 definition_invalid definition.plans, definition.colour',
    );
    expect(
      await outcome(
        post({
          definition: {
            ...definition,
            routes: [
              { method: 'GET', path: '/{a}' },
              { method: 'GET', path: '/{b}' },
            ],
          },
        }),
      ),
    ).toBe('422 definition_invalid definition.routes[1].path');
    expect(await outcome(post({ definition: { ...definition, plans: ['gold', 'gold'] } }))).toBe(
      '422 definition_invalid definition.plans',
    );
    expect(faultOf(await post({ definition: { ...definition, plans: ['gold', 'lead', 'tin'] } }))).toEqual({
      status: 422,
      code: 'unknown_reference',
      errors: [
        { field: 'definition.plans[1]', problem: 'there is no plan "lead"', expected: 'the id of a plan' },
        { field: 'definition.plans[2]', problem: 'there is no plan "tin"', expected: 'the id of a plan' },
      ],
    });
    expect(
      await outcome(post({ definition: { ...definition, routes: [{ method: 'GET', path: '/', id: '\ud800' }] } })),
    ).toBe('422 definition_invalid definition.routes[0].id');
    expect(await outcome(post({ definition, comment: 'x' }))).toBe('400 invalid_request comment');
    expect(await outcome(post({}))).toBe('400 invalid_request definition');
    expect(await outcome(post(undefined))).toBe('400 invalid_request definition');
    expect(await outcome(post('"text"'))).toBe('400 invalid_request (whole)');
    expect(await outcome(post('{'))).toBe('400 malformed_json');
    expect(await outcome(post('<x/>', 'weather:v1', { 'content-type': 'application/xml' }))).toBe(
      '415 unsupported_media_type',
    );
    expect(await outcome(post({ definition }, 'storm:v1'))).toBe('404 not_found');
    expect(await outcome(post({ definition }, 'weather'))).toBe('400 invalid_request api');
    expect(await outcome(app.call('POST', '/v1/apis/weather:v1/releases?plans=gold', { definition }))).toBe(
      '400 invalid_request plans',
    );
    expect(await pages(app, '/v1/apis/weather:v1/releases', 200)).toEqual(before);
  });

  it('of 50 MB is refused, whether its size is announced or not', async () => {
    expect(await outcome(post({ definition: { ...definition, pad: 'x'.repeat(50_000_000) } }))).toBe(
      '413 body_too_large',
    );
    expect(await chunked('/v1/apis/weather:v1/releases', 800)).toBe(413);
  });

  it('answers a repeated Idempotency-Key with the same', async () => {
    const send = (plans: string[]) =>
      post({ definition: { ...definition, plans } }, 'weather:v1', { 'idempotency-key': 'r1' });
    const [first, second] = [await send(['bronze']), await send(['bronze'])];
    expect([first.status, second.status, second.headers.get('idempotent-replayed')]).toEqual([201, 201, 'true']);
    expect(second.body).toEqual(first.body);
    expect(await outcome(send([]))).toBe('422 idempotency_mismatch Idempotency-Key');
  });
});

describe('a release of an OpenAPI document', () => {
  it('is the same one, however the document is sent', async () => {
    const overrides = { upstream: { targets: [{ url: 'http://maps:80' }] }, plans: ['bronze', 'gold'] };
    const query = '?upstream=http://maps:80&plans=bronze,gold';
    const first = await post({ openapi: document, overrides }, 'maps:v1');
    expect([first.status, first.body.routes, first.body.plans]).toEqual([201, 3, ['bronze', 'gold']]);
    expect(first.body.report).toMatchObject({ openapi: '3.1.0', title: 'Weather', operations: 3, routes: 3 });
    const others = [
      await postYaml(query),
      await postYaml(query, 'application/x-yaml; charset=utf-8'),
      await postYaml(query, 'text/yaml'),
      await postYaml(query, 'application/openapi+yaml'),
    ];
    for (const other of others) expect([other.status, other.body]).toEqual([200, first.body]);
    const { definition: made } = await good(app.call('GET', `/v1/apis/maps:v1/releases/${first.body.digest}`));
    expect(made).toMatchObject({
      name: 'maps',
      version: 'v1',
      context: '/maps/v1',
      security: 'key',
      upstream: overrides.upstream,
    });
  });

  it('as JSON is taken as an object, as text and as the body', async () => {
    const openapi = {
      openapi: '3.0.0',
      info: { title: 'J', version: '1' },
      servers: [{ url: 'http://j' }],
      paths: { '/j': { get: { responses: {} } } },
    };
    const first = await post({ openapi }, 'maps:v1');
    expect(first.status).toBe(201);
    expect((await post({ openapi: JSON.stringify(openapi) }, 'maps:v1')).body).toEqual(first.body);
    expect((await postYaml('', 'application/openapi+json', JSON.stringify(openapi))).body).toEqual(first.body);
  });

  it('is refused with the place of what is wrong', async () => {
    expect(await outcome(postYaml('', 'application/yaml', 'openapi: [1'))).toMatch(/^422 openapi_invalid /);
    expect(await outcome(postYaml('', 'application/yaml', 'swagger: "2.0"'))).toMatch(/^422 openapi_invalid /);
    expect(await outcome(postYaml('', 'application/openapi+json', Buffer.from([0xff, 0xfe])))).toMatch(
      /^422 openapi_invalid /,
    );
    expect(await outcome(post({ openapi: { openapi: '3.0.0' } }, 'maps:v1'))).toMatch(/^422 openapi_invalid /);
    expect(await outcome(postYaml('?upstream=ftp://x'))).toBe('400 invalid_request upstream.targets[0].url');
    expect(await outcome(postYaml('?plans=gold,Tin'))).toBe('400 invalid_request plans[1]');
    expect(await outcome(postYaml('?security=none&name=x'))).toBe('400 invalid_request security, name');
    expect(await outcome(postYaml('?plans=gold,lead'))).toBe('422 unknown_reference plans[1]');
    expect(await outcome(post({ openapi: document, overrides: { plans: ['lead'] } }, 'maps:v1'))).toBe(
      '422 unknown_reference overrides.plans[0]',
    );
    expect(await outcome(post({ openapi: document, overrides: { routes: [] } }, 'maps:v1'))).toBe(
      '400 invalid_request overrides.routes',
    );
    expect(await outcome(post({ openapi: document, overrides: { version: 'v2' } }, 'maps:v1'))).toBe(
      '422 definition_invalid overrides.version',
    );
    expect(await outcome(post({ openapi: document, definition }, 'maps:v1'))).toBe('400 invalid_request definition');
  });
});

describe('releases', () => {
  it('are listed the newest first, in pages, without their definitions', async () => {
    await good(app.call('POST', '/v1/apis', { name: 'many', version: 'v1' }));
    const digests: string[] = [];
    for (let n = 1; n <= 7; n++) {
      digests.unshift(
        (
          await good(
            post({ definition: { ...definition, upstream: { targets: [{ url: `http://u${n}` }] } } }, 'many:v1'),
          )
        ).digest,
      );
    }
    for (const limit of [1, 3, 200]) {
      const items = await pages(app, '/v1/apis/many:v1/releases', limit);
      expect(items.map((one) => one.digest)).toEqual(digests);
      expect(Object.keys(items[0])).not.toContain('definition');
    }
    // all of one moment: the digest decides, and none is lost or told twice
    await app.source.query(`UPDATE release SET created_at = '2026-01-01T00:00:00.123456Z' WHERE api_id = 'many:v1'`);
    for (const limit of [1, 2, 3]) {
      expect((await pages(app, '/v1/apis/many:v1/releases', limit)).map((one) => one.digest)).toEqual(
        [...digests].sort().reverse(),
      );
    }
    expect(await outcome(app.call('GET', '/v1/apis/storm:v1/releases'))).toBe('404 not_found');
    expect(
      await outcome(app.call('GET', `/v1/apis/many:v1/releases?cursor=${Buffer.from('["x"]').toString('base64url')}`)),
    ).toBe('400 invalid_request cursor');
  });

  it('belong to their API only', async () => {
    const { digest } = await good(post({ definition }));
    expect(await outcome(app.call('GET', `/v1/apis/maps:v1/releases/${digest}`))).toBe('404 not_found');
    expect(await outcome(app.call('GET', `/v1/apis/weather:v1/releases/${'0'.repeat(64)}`))).toBe('404 not_found');
    expect(await outcome(app.call('GET', '/v1/apis/weather:v1/releases/latest'))).toBe('400 invalid_request digest');
  });

  it('are compared', async () => {
    const { digest: from } = await good(post({ definition }));
    const { digest: to } = await good(
      post({ definition: { ...definition, security: 'open', routes: [{ method: 'GET', path: '/now' }] } }),
    );
    expect(await good(app.call('GET', `/v1/apis/weather:v1/releases/diff?from=${from}&to=${to}`))).toEqual({
      from,
      to,
      routes: { added: [{ method: 'GET', path: '/now' }], removed: [{ method: 'GET', path: '/today' }], changed: [] },
      fields: [{ pointer: '/security', from: 'key', to: 'open' }],
      truncated: false,
    });
    expect(await outcome(app.call('GET', `/v1/apis/weather:v1/releases/diff?from=${from}`))).toBe(
      '400 invalid_request to',
    );
    expect(await outcome(app.call('GET', `/v1/apis/maps:v1/releases/diff?from=${from}&to=${to}`))).toBe(
      '404 not_found',
    );
  });
});

/** POSTs 64 KiB of blanks `times` times, without saying how much there is. */
async function chunked(path: string, times: number): Promise<number> {
  async function* blanks(): AsyncGenerator<Uint8Array> {
    for (let n = 0; n < times; n++) yield Buffer.alloc(65_536, ' ');
  }
  const response = await fetch(app.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${app.admin}`, 'content-type': 'application/json' },
    body: ReadableStream.from(blanks()),
    duplex: 'half',
  });
  await response.arrayBuffer();
  return response.status;
}
