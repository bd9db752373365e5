import { generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { until } from '#harness';
import { clientKey, decodeClientRecord, decodeIssuerRecord, issuerKey, type IssuerRecord, TABLE } from '#model';
import { as, auditOf, good, outcome } from '../../testing/answers.js';
import { type CallAnswer, type StartedApp, startApp, startBeside } from '../../testing/start-app.js';
import { KeyRefresher } from './key-refresher.js';

let app: StartedApp;
let provider: Server;
let issuer: string;
/** what the issuer answers for its keys */
let shown: { status: number; keys: object[] };
let fetches = 0;

const jwk = (kid: string): object => ({
  ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }),
  kid,
});

beforeAll(async () => {
  provider = createServer((request, response) => {
    if (request.url?.endsWith('/.well-known/openid-configuration')) {
      const name = `${issuer}${request.url.slice(0, -'/.well-known/openid-configuration'.length)}`;
      return void response.end(JSON.stringify({ issuer: name, jwks_uri: `${issuer}/keys` }));
    }
    fetches++;
    response.writeHead(request.url === '/keys' ? shown.status : 404).end(JSON.stringify({ keys: shown.keys }));
  });
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
  app = await startApp({ HELIO_ISSUER_NETWORKS: '127.0.0.0/8' });
  for (const [at, id] of ['prod', 'dev'].entries())
    await good(app.call('POST', '/v1/environments', { id, position: 10 - at }));
});
afterAll(async () => {
  await app?.stop();
  provider?.close().closeAllConnections();
});
beforeEach(() => {
  shown = { status: 200, keys: [jwk('one'), jwk('two')] };
});

let made = 0;
/** An issuer of its own for each test, a path of the one server; and where it is at the master. */
async function trust(more: object = {}): Promise<CallAnswer['body']> {
  const body = { issuer: `${issuer}/${++made}`, audiences: ['api'], algorithms: ['ES256'], ...more };
  const view = await good(app.call('POST', '/v1/environments/prod/issuers', body));
  return { ...view, path: `/v1/environments/prod/issuers/${view.id}` };
}

async function published(table: number, key: Buffer): Promise<Buffer | null> {
  const [row]: { value: Buffer }[] = await app.source.query(
    `SELECT value FROM published_entry WHERE environment_id = 'prod' AND table_id = $1 AND key = $2`,
    [table, key],
  );
  return row?.value ?? null;
}
async function onChain(name: string): Promise<IssuerRecord | null> {
  const value = await published(TABLE.jwks, issuerKey(name));
  return value && decodeIssuerRecord(value);
}
const kids = (record: IssuerRecord | null): unknown => record?.keys.map(({ kid }) => kid);
const due = (id: string): Promise<unknown> =>
  app.source.query(`UPDATE token_issuer SET next_fetch_at = now() WHERE id = $1`, [id]);

describe('an issuer', () => {
  it('is trusted with its keys from the revision of the answer on, and is shown and noted', async () => {
    const { path, ...view } = await trust({ claim: 'azp' });
    expect(view).toMatchObject({
      audiences: ['api'],
      claim: 'azp',
      keys: [
        { kid: 'one', kty: 'EC', alg: 'ES256' },
        { kid: 'two', kty: 'EC', alg: 'ES256' },
      ],
      fetchedFrom: `${issuer}/keys`,
      failures: 0,
    });
    const record = await onChain(view.issuer);
    expect(record).toMatchObject({ issuer: view.issuer, audience: ['api'], algorithms: ['ES256'], claim: 'azp' });
    expect(kids(record)).toEqual(['one', 'two']);
    expect(await good(app.call('GET', path))).toEqual(view);
    expect((await good(app.call('GET', '/v1/environments/prod/issuers'))).items).toContainEqual(view);
    expect((await good(app.call('GET', '/v1/environments/dev/issuers'))).items).toEqual([]);
    expect(await auditOf(app, `issuer/${view.id}`)).toMatchObject([{ action: 'issuer.create' }]);
    expect(await outcome(app.call('DELETE', '/v1/environments/prod'))).toBe('409 in_use');
  });

  it('is refused with what is wrong about it', async () => {
    const create = (body: object, call: StartedApp['call'] = (...asked) => app.call(...asked)) =>
      outcome(call('POST', '/v1/environments/prod/issuers', { issuer: `${issuer}/x`, audiences: ['api'], ...body }));
    expect(await create({ algorithms: ['HS256'] })).toBe('400 invalid_request algorithms[0]');
    expect(await create({ algorithms: ['none'] })).toBe('400 invalid_request algorithms[0]');
    expect(await create({ audiences: [] })).toBe('400 invalid_request audiences');
    expect(await create({ issuer: 'https://user@id.example.com' })).toBe('400 invalid_request issuer');
    expect(await create({ issuer: 'https://id.example.com/?a' })).toBe('400 invalid_request issuer');
    expect(await create({ issuer: 'id.example.com' })).toBe('400 invalid_request issuer');
    expect(await create({ jwksUri: `${issuer}/none` })).toBe('502 issuer_unavailable jwksUri');
    expect(await create({ jwksUri: 'http://10.0.0.1/keys' })).toBe('502 issuer_unavailable jwksUri');
    expect(await create({ jwksUri: 'http://169.254.169.254/latest' })).toBe('502 issuer_unavailable jwksUri');
    expect(await create({ algorithms: ['RS256'] })).toBe('502 issuer_unavailable issuer');
    expect(await create({}, await as(app, 'publisher'))).toBe('403 forbidden');
    const [own] = await app.source.query('SELECT issuer FROM token_authority');
    expect(await create({ issuer: own.issuer })).toBe('409 conflict issuer');
    const { issuer: taken } = await trust();
    expect(await create({ issuer: taken, algorithms: ['ES256'] })).toBe('409 conflict issuer');
    expect(await outcome(app.call('POST', '/v1/environments/none/issuers', { issuer, audiences: ['a'] }))).toBe(
      '404 not_found',
    );
  });

  it('is changed under If-Match, and fetched anew where its keys may be others', async () => {
    const { path, issuer: name } = await trust();
    expect(await outcome(app.call('PATCH', path, { claim: 'sub' }))).toBe('428 precondition_required');
    const before = fetches;
    const changed = await app.call('PATCH', path, { claim: 'sub', audiences: ['a', 'b'] }, { 'if-match': '"1"' });
    expect([changed.status, changed.headers.get('etag'), fetches - before]).toEqual([200, '"2"', 0]);
    expect(await onChain(name)).toMatchObject({ claim: 'sub', audience: ['a', 'b'] });
    expect(await outcome(app.call('PATCH', path, { claim: 'azp' }, { 'if-match': '"1"' }))).toBe(
      '412 precondition_failed',
    );
    shown.keys = [jwk('three')];
    await good(app.call('PATCH', path, { algorithms: ['ES256', 'RS256'] }, { 'if-match': '*' }));
    expect([fetches - before, kids(await onChain(name))]).toEqual([1, ['three']]);
    const refused = app.call('PATCH', path, { jwksUri: `${issuer}/none` }, { 'if-match': '*' });
    expect(await outcome(refused)).toBe('502 issuer_unavailable jwksUri');
    expect(await good(app.call('GET', path))).toMatchObject({ jwksUri: null });
  });

  it('that is trusted no more leaves the chain at once, and its clients with it', async () => {
    const { path, issuer: name } = await trust();
    const { id } = await good(app.call('POST', '/v1/applications', { name: 'crm' }));
    const bound = { environment: 'prod', issuer: name, clientId: 'crm' };
    await good(app.call('POST', `/v1/applications/${id}/outside-clients`, bound));
    expect(await published(TABLE.client, clientKey(name, 'crm'))).not.toBeNull();
    expect((await app.call('DELETE', path)).status).toBe(204);
    expect(await onChain(name)).toBeNull();
    expect(await published(TABLE.client, clientKey(name, 'crm'))).toBeNull();
    expect(await outcome(app.call('GET', path))).toBe('404 not_found');
  });
});

describe('keys of an issuer', () => {
  it('come and go as it shows them, and change no revision where they do not', async () => {
    const { path, id, issuer: name } = await trust();
    const refresher = app.part(KeyRefresher);
    shown.keys = [...shown.keys.slice(1), jwk('three')];
    await due(id);
    await refresher.sweep();
    const came = async (): Promise<boolean> => String(kids(await onChain(name))) === 'three,two';
    await until(came, { what: 'the keys to be on the chain' });
    expect(await auditOf(app, `issuer/${id}`)).toMatchObject([
      { action: 'issuer.create' },
      { action: 'issuer.keys', actor: 'system', before: { keys: ['one ES256', 'two ES256'] } },
    ]);
    shown.keys.reverse();
    await due(id);
    await refresher.sweep();
    expect((await auditOf(app, `issuer/${id}`)).length).toBe(2);
    expect(Date.parse((await good(app.call('GET', path))).nextFetchAt)).toBeGreaterThan(Date.now() + 4 * 60_000);
  });

  it('stay in force while it does not answer or answers nonsense, and that is to be seen', async () => {
    const { path, id, issuer: name } = await trust();
    const refresher = app.part(KeyRefresher);
    for (const [failures, broken] of [
      { status: 500, keys: [] },
      { status: 200, keys: [] },
    ].entries()) {
      shown = broken;
      await due(id);
      await refresher.sweep();
      const seen = async (): Promise<boolean> => (await good(app.call('GET', path))).failures === failures + 1;
      await until(seen, { what: 'the failure to be noted' });
    }
    expect(await outcome(app.call('POST', `${path}/refresh`))).toBe('502 issuer_unavailable');
    expect(await good(app.call('GET', path))).toMatchObject({
      failures: 3,
      lastError: expect.any(String),
      keys: [{ kid: 'one' }, { kid: 'two' }],
    });
    const metrics = await (await fetch(`${app.url}/metrics`)).text();
    expect(metrics).toContain(`heliograph_issuer_failures{environment="prod",issuer="${name}"} 3`);
    expect(kids(await onChain(name))).toEqual(['one', 'two']);
    shown = { status: 200, keys: [jwk('new')] };
    const refreshed = await app.call('POST', `${path}/refresh`);
    expect(refreshed.body).toMatchObject({ failures: 0, lastError: null, keys: [{ kid: 'new' }] });
    expect(refreshed.headers.get('heliograph-revision')).toMatch(/^prod@\d+$/);
    expect(kids(await onChain(name))).toEqual(['new']);
  });

  it('are fetched by one master at a time', async () => {
    const beside = await startBeside(app);
    try {
      const { id } = await trust();
      await due(id);
      const before = fetches;
      await Promise.all([app.part(KeyRefresher).sweep(), beside.part(KeyRefresher).sweep()]);
      expect(fetches - before).toBe(1);
    } finally {
      await beside.stop();
    }
  });

  it('that were fetched for what the issuer was before are not kept', async () => {
    const { path, id, issuer: name } = await trust();
    const [row] = await app.source.query(
      'SELECT id, version, environment_id AS environment, issuer, keys FROM token_issuer WHERE id = $1',
      [id],
    );
    await good(app.call('PATCH', path, { claim: 'sub' }, { 'if-match': '*' }));
    const late = {
      found: { keys: [{ ...jwk('late'), alg: 'ES256' }], refused: [] },
      etag: null,
      fetchedFrom: 'x',
      maxAge: null,
    };
    expect(await app.part(KeyRefresher).keep(app.source.manager, row, late as never)).toBe(false);
    expect(kids(await onChain(name))).toEqual(['one', 'two']);
  });
});

describe('an outside client', () => {
  let application: string;
  let name: string;
  let path: string;
  beforeEach(async () => {
    application = (await good(app.call('POST', '/v1/applications', { name: 'crm' }))).id;
    path = `/v1/applications/${application}/outside-clients`;
    name = (await trust()).issuer;
  });
  const bind = (body: object = {}) =>
    app.call('POST', path, { environment: 'prod', issuer: name, clientId: 'crm', ...body });
  const record = async (clientId = 'crm') => {
    const value = await published(TABLE.client, clientKey(name, clientId));
    return value && decodeClientRecord(value);
  };

  it('is bound to an application, which comes onto the chain with it', async () => {
    const { status, body } = await bind({ scopes: ['b', 'a'], ips: ['10.0.0.0/8'] });
    expect([status, body]).toMatchObject([
      201,
      { status: 'active', scopes: ['a', 'b'], issuer: name, clientId: 'crm' },
    ]);
    expect(await record()).toEqual({ application, scopes: ['a', 'b'], ips: ['10.0.0.0/8'] });
    const key = Buffer.from(application.replaceAll('-', ''), 'hex');
    expect(await published(TABLE.application, key)).not.toBeNull();
    expect(await good(app.call('GET', `${path}/${body.id}`))).toEqual(body);
    expect((await good(app.call('GET', `${path}?environment=prod`))).items).toEqual([body]);
    expect((await good(app.call('GET', `${path}?environment=dev`))).items).toEqual([]);
    await good(app.call('PATCH', `${path}/${body.id}`, { scopes: null, ips: null }, { 'if-match': '"1"' }));
    expect(await record()).toEqual({ application });
    await good(app.call('POST', `${path}/${body.id}/revoke`));
    expect([await record(), await published(TABLE.application, key)]).toEqual([null, null]);
  });

  it('is refused where it is bound, or its issuer is not trusted there', async () => {
    await good(bind());
    expect(await outcome(bind())).toBe('409 conflict clientId');
    expect(await outcome(bind({ environment: 'dev' }))).toBe('422 unknown_reference issuer');
    expect(await outcome(bind({ issuer: `${name}/other` }))).toBe('422 unknown_reference issuer');
    expect(await outcome(bind({ clientId: '' }))).toBe('400 invalid_request clientId');
  });

  it('loses its tokens of before a time, or all of them for ever, and may then be bound anew', async () => {
    const { id } = await good(bind());
    const began = Date.now();
    const { notBefore } = await good(app.call('POST', `${path}/${id}/revoke-tokens`));
    expect(Date.parse(notBefore)).toBeGreaterThan(began);
    expect(await record()).toEqual({ application, notBefore: Date.parse(notBefore) / 1000 });
    const earlier = await good(app.call('POST', `${path}/${id}/revoke-tokens`, { before: '2020-01-01T00:00:00Z' }));
    expect(earlier.notBefore).toBe(notBefore);
    const revoked = await good(app.call('POST', `${path}/${id}/revoke`, { reason: 'left' }));
    expect([revoked.status, await record()]).toEqual(['revoked', null]);
    expect((await good(app.call('POST', `${path}/${id}/revoke`))).revokedAt).toBe(revoked.revokedAt);
    expect(await outcome(app.call('POST', `${path}/${id}/revoke-tokens`))).toBe('409 conflict');
    await good(bind());
    expect(await record()).toEqual({ application });
    expect((await auditOf(app, `outside-client/${id}`)).map(({ action }) => action)).toEqual([
      'outside-client.bind',
      'outside-client.revoke-tokens',
      'outside-client.revoke',
    ]);
  });

  it('goes with its application', async () => {
    await good(bind());
    expect((await app.call('DELETE', `/v1/applications/${application}`)).status).toBe(204);
    expect(await record()).toBeNull();
  });
});
