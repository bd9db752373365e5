import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clientKey, issuerKey, TABLE } from '#model';
import { type MadeClient, newClient, onChain, tokenOf } from '../../testing/oauth.js';
import { type StartedApp, startApp, startBeside } from '../../testing/start-app.js';

const WELL_KNOWN = '/.well-known/oauth-authorization-server';

let app: StartedApp;
let client: MadeClient;
beforeAll(async () => {
  app = await startApp();
  await app.call('POST', '/v1/environments', { id: 'prod', position: 1 });
  client = await newClient(app);
});
afterAll(() => app?.stop());

const anonymous = async (url: string): Promise<{ status: number; headers: Headers; body: Record<string, unknown> }> => {
  const response = await fetch(url);
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  };
};

describe('RFC 8414: the metadata', () => {
  it('says what there is, to anybody, and every endpoint that it names is there', async () => {
    const { status, headers, body } = await anonymous(app.url + WELL_KNOWN);
    const issuer = 'http://localhost:0';
    expect(status).toBe(200);
    expect(headers.get('content-type')).toMatch(/^application\/json/);
    expect(headers.get('cache-control')).toBe('public, max-age=300');
    expect(body).toMatchObject({
      issuer,
      token_endpoint: `${issuer}/oauth/token`,
      jwks_uri: `${issuer}/.well-known/jwks.json`,
      grant_types_supported: ['client_credentials'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    });
    for (const [name, value] of Object.entries(body)) {
      if (!name.endsWith('_endpoint')) continue;
      const path = new URL(String(value)).pathname;
      expect((await fetch(app.url + path, { method: 'POST' })).status, name).not.toBe(404);
    }
  });

  it('has its place before the path of an issuer that has one, and endpoints below that path', async () => {
    const issuer = 'https://api.example.com/auth/prod';
    const second = await startBeside({ ...app, config: { ...app.config, HELIO_ISSUER: issuer } });
    try {
      const { status, body } = await anonymous(`${second.url}${WELL_KNOWN}/auth/prod`);
      expect([status, body.issuer]).toEqual([200, issuer]);
      expect(body.token_endpoint).toBe(`${issuer}/oauth/token`);
      const jwks = await anonymous(`${second.url}${new URL(String(body.jwks_uri)).pathname}`);
      expect(jwks.body.keys).toHaveLength(1);
      expect((await anonymous(`${second.url}${WELL_KNOWN}/auth`)).status).toBe(404);
      expect((await fetch(`${second.url}/auth/prod/oauth/token`, { method: 'POST' })).status).toBe(400);
      expect((await fetch(`${second.url}/auth/prod/v1/environments`)).status).toBe(404);
    } finally {
      await second.stop();
    }
  });
});

describe('the published keys', () => {
  it('are public halves only, for anybody, and may be kept for a while', async () => {
    const { status, headers, body } = await anonymous(`${app.url}/.well-known/jwks.json`);
    expect(status).toBe(200);
    expect(headers.get('content-type')).toMatch(/^application\/jwk-set\+json/);
    expect(headers.get('cache-control')).toBe('public, max-age=300');
    const text = expect.any(String) as string;
    expect(body).toEqual({
      keys: [{ kty: 'EC', crv: 'P-256', x: text, y: text, kid: text, alg: 'ES256', use: 'sig' }],
    });
  });
});

describe('another name of the issuer', () => {
  it('is the same for all masters, and clients and keys move to it on every chain', async () => {
    const [row] = await app.source.query('SELECT issuer FROM token_authority');
    const former = row.issuer as string;
    const issuer = 'https://tokens.example.com';
    const second = await startBeside({ ...app, config: { ...app.config, HELIO_ISSUER: issuer } });
    try {
      const { issuer: named } = (await anonymous(app.url + WELL_KNOWN)).body;
      expect(named).toBe(issuer);
      expect(decodeJwt(await tokenOf(app, client)).iss).toBe(issuer);
      await newClient(app); // published after what was marked before
      const [clients, issuers] = [await onChain(app, TABLE.client), await onChain(app, TABLE.jwks)];
      expect(clients.has(clientKey(issuer, client.id).toString('hex'))).toBe(true);
      expect(clients.has(clientKey(former, client.id).toString('hex'))).toBe(false);
      expect([...issuers.keys()]).toEqual([issuerKey(issuer).toString('hex')]);
      // who is started without a name takes the one that there is
      const third = await startBeside(app);
      await third.stop();
      expect((await anonymous(app.url + WELL_KNOWN)).body.issuer).toBe(issuer);
    } finally {
      await second.stop();
    }
  });
});
