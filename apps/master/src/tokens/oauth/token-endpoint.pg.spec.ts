import { createLocalJWKSet, createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeIssuerRecord, issuerKey, TABLE } from '#model';
import { basic, type MadeClient, newClient, oauth, onChain, tokenOf } from '../../testing/oauth.js';
import { cuttable } from '../../testing/publishing-master.js';
import { type CallAnswer, type StartedApp, startApp, startElsewhere } from '../../testing/start-app.js';

const ISSUER = 'http://localhost:0';
const GRANT = { grant_type: 'client_credentials' };

let app: StartedApp;
let client: MadeClient;
beforeAll(async () => {
  app = await startApp();
  for (const [position, id] of ['dev', 'prod'].entries()) await app.call('POST', '/v1/environments', { id, position });
  client = await newClient(app);
});
afterAll(() => app?.stop());

const ask = (form: string | Record<string, string>, headers: Record<string, string> = {}): Promise<CallAnswer> =>
  oauth(app, 'token', form, { authorization: basic(client.id, client.secret), ...headers });
const body = (form: Record<string, string>): Promise<CallAnswer> => oauth(app, 'token', form);

/** RFC 6749, 5.2 */
function expectRefusal(answer: CallAnswer, error: string, status = 400): void {
  expect([answer.status, answer.body.error]).toEqual([status, error]);
  expect(answer.body.error_description).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(answer.headers.get('pragma')).toBe('no-cache');
}

describe('RFC 6749, 4.4: a client obtains a token', () => {
  it('by HTTP Basic, and the answer is not to be stored', async () => {
    const answer = await ask(GRANT);
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      access_token: expect.any(String),
      token_type: 'Bearer',
      expires_in: 3600,
      scope: 'orders:read orders:write',
    });
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.headers.get('pragma')).toBe('no-cache');
  });

  it('by its secret in the body', async () => {
    const { status } = await body({ ...GRANT, client_id: client.id, client_secret: client.secret });
    expect(status).toBe(200);
  });

  it('where the halves of HTTP Basic are form-urlencoded, as 2.3.1 wants it, in whatever case', async () => {
    const encoded = (text: string): string =>
      [...text].map((character) => `%${character.charCodeAt(0).toString(16)}`).join('');
    const both = Buffer.from(`${encoded(client.id)}:${encoded(client.secret)}`).toString('base64');
    expect((await ask(GRANT, { authorization: `basic ${both}` })).status).toBe(200);
  });

  it('with a charset in the content type, an unknown parameter, and one without a value', async () => {
    const form = 'grant_type=client_credentials&scope=&colour=red&=x';
    const answer = await ask(form, { 'content-type': 'application/x-www-form-urlencoded; charset=UTF-8' });
    expect([answer.status, answer.body.scope]).toEqual([200, 'orders:read orders:write']);
  });

  it('for fewer scopes than it has, each once', async () => {
    const answer = await ask({ ...GRANT, scope: 'orders:read orders:read' });
    expect(answer.body.scope).toBe('orders:read');
    expect(decodeJwt(answer.body.access_token).scope).toBe('orders:read');
  });

  it('without a scope, where it has none', async () => {
    const bare = await newClient(app, { scopes: [] });
    const answer = await ask(GRANT, { authorization: basic(bare.id, bare.secret) });
    expect(answer.body).not.toHaveProperty('scope');
    expect(decodeJwt(answer.body.access_token)).not.toHaveProperty('scope');
  });
});

describe('RFC 6749, 5.2: a client is refused', () => {
  it('invalid_request: without a grant type', async () => expectRefusal(await ask({}), 'invalid_request'));

  it('invalid_request: with a parameter twice, known or not', async () => {
    for (const more of ['grant_type=client_credentials', 'scope=a&scope=a', 'x=1&x=1', 'scope=&scope=orders:read'])
      expectRefusal(await ask(`grant_type=client_credentials&${more}`), 'invalid_request');
  });

  it('invalid_request: with credentials in both ways', async () => {
    const form = { ...GRANT, client_id: client.id, client_secret: client.secret };
    expectRefusal(await ask(form), 'invalid_request');
    expectRefusal(await ask({ ...GRANT, client_id: 'another' }), 'invalid_request');
    expect((await ask({ ...GRANT, client_id: client.id })).status).toBe(200);
  });

  it('invalid_request: with parameters in the URL', async () => {
    const answer = await oauth(app, `token?client_secret=${client.secret}`, { ...GRANT, client_id: client.id });
    expectRefusal(answer, 'invalid_request');
  });

  it('invalid_request: in another content type, too large, or not in UTF-8', async () => {
    expectRefusal(await ask(JSON.stringify(GRANT), { 'content-type': 'application/json' }), 'invalid_request');
    expectRefusal(await ask({ ...GRANT, scope: 'x'.repeat(40_000) }), 'invalid_request');
    for (const bad of ['%ff', '%zz', '%'])
      expectRefusal(await ask(`grant_type=client_credentials&scope=${bad}`), 'invalid_request');
  });

  it('unsupported_grant_type: for any other grant', async () => {
    for (const grant_type of ['password', 'authorization_code', 'refresh_token', 'CLIENT_CREDENTIALS'])
      expectRefusal(await ask({ grant_type }), 'unsupported_grant_type');
  });

  it('invalid_scope: for one that it does not have, or what is no list of scopes', async () => {
    for (const scope of ['admin', 'orders:read admin', ' orders:read', 'orders:read  orders:write', 'a"b', 'ä'])
      expectRefusal(await ask({ ...GRANT, scope }), 'invalid_scope');
  });

  it('invalid_client with 401 and WWW-Authenticate: for whatever is wrong with it, in the same words', async () => {
    const other = await newClient(app);
    const authorizations = [
      basic(client.id, other.secret),
      basic(client.id, 'wrong'),
      basic(client.id, `${client.secret.slice(0, -1)}!`),
      basic('hgc_0000000000000000000000', client.secret),
      basic(client.id, '\0'),
    ];
    const answers = await Promise.all(authorizations.map((authorization) => ask(GRANT, { authorization })));
    for (const answer of answers) {
      expectRefusal(answer, 'invalid_client', 401);
      expect(answer.headers.get('www-authenticate')).toMatch(/^Basic realm=/);
      expect(answer.body).toEqual(answers[0]?.body);
    }
  });

  it('invalid_client: without credentials, or with such that cannot be read', async () => {
    expectRefusal(await body(GRANT), 'invalid_client', 401);
    expectRefusal(await body({ ...GRANT, client_id: client.id }), 'invalid_client', 401);
    for (const authorization of ['Basic', 'Basic !', 'Basic bm9jb2xvbg==', 'Bearer x', `Basic ${btoa('%ff:x')}`])
      expectRefusal(await ask(GRANT, { authorization }), 'invalid_client', 401);
  });

  it('invalid_client: when it is expired or revoked, or its application is suspended', async () => {
    const [expired, revoked, suspended] = [await newClient(app), await newClient(app), await newClient(app)];
    await app.source.query(`UPDATE oauth_client SET expires_at = now() - interval '1 second' WHERE id = $1`, [
      expired.id,
    ]);
    await app.call('POST', `${revoked.path}/revoke`, {});
    await app.call('PATCH', `/v1/applications/${suspended.application}`, { status: 'suspended' }, { 'if-match': '*' });
    for (const { id, secret } of [expired, revoked, suspended])
      expectRefusal(await ask(GRANT, { authorization: basic(id, secret) }), 'invalid_client', 401);
  });

  it('with 405 for another method', async () => {
    const { status, headers } = await app.call('GET', '/oauth/token');
    expect([status, headers.get('allow')]).toEqual([405, 'POST']);
  });
});

describe('RFC 9068: an access token', () => {
  it('has the header and the claims that it must have, and is verified by the published keys', async () => {
    const token = await tokenOf(app, client);
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: expect.any(String) });
    const keys = createRemoteJWKSet(new URL(`${app.url}/.well-known/jwks.json`));
    const before = Math.floor(Date.now() / 1000) - 60;
    const { payload } = await jwtVerify(token, keys, {
      issuer: ISSUER,
      audience: 'urn:heliograph:prod',
      typ: 'at+jwt',
    });
    expect(payload).toEqual({
      iss: ISSUER,
      sub: client.id,
      client_id: client.id,
      aud: 'urn:heliograph:prod',
      iat: expect.any(Number),
      exp: (payload.iat ?? 0) + 3600,
      jti: expect.stringMatching(/^[A-Za-z0-9_-]{22}$/),
      scope: 'orders:read orders:write',
    });
    expect(payload.iat).toBeGreaterThan(before);
    expect(decodeJwt(await tokenOf(app, client)).jti).not.toBe(payload.jti);
  });

  it('is verified by the keys on the chain of its environment, and by no other', async () => {
    const dev = await newClient(app, { environment: 'dev' });
    const keysOf = async (environment: string) => {
      const entry = (await onChain(app, TABLE.jwks, environment)).get(issuerKey(ISSUER).toString('hex'));
      const record = decodeIssuerRecord(entry ?? Buffer.alloc(0));
      const audience = [`urn:heliograph:${environment}`];
      expect(record).toMatchObject({ issuer: ISSUER, audience, claim: 'client_id', typ: 'at+jwt' });
      return createLocalJWKSet({ keys: record.keys });
    };
    await jwtVerify(await tokenOf(app, client), await keysOf('prod'));
    await jwtVerify(await tokenOf(app, dev), await keysOf('dev'));
    await expect(jwtVerify(await tokenOf(app, dev), await keysOf('prod'))).rejects.toThrow(/no applicable key/);
  });

  it('ends with its client', async () => {
    const end = Math.ceil(Date.now() / 1000) + 100;
    const soon = await newClient(app, { expiresAt: new Date(end * 1000).toISOString() });
    const answer = await ask(GRANT, { authorization: basic(soon.id, soon.secret) });
    const { exp, iat = 0 } = decodeJwt(answer.body.access_token);
    expect([exp, answer.body.expires_in]).toEqual([end, end - iat]);
  });

  it('can be used as long as its client says', async () => {
    const short = await newClient(app, { tokenSeconds: 60 });
    expect((await ask(GRANT, { authorization: basic(short.id, short.secret) })).body.expires_in).toBe(60);
  });
});

describe('the endpoint', () => {
  it('writes nothing for a token', async () => {
    const written = async (): Promise<number> => {
      const [row] = await app.source.query('SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS xid');
      return Number(row.xid);
    };
    const before = await written();
    for (let i = 0; i < 20; i++) await tokenOf(app, client);
    expect((await written()) - before).toBeLessThan(20); // publishers remember the store's position now and then
  });

  it('is closed for a while to who guesses, and not to the client itself', async () => {
    const [victim, other] = [await newClient(app), await newClient(app)];
    await tokenOf(app, victim);
    const guesses = [];
    for (let i = 0; i < 12; i++) guesses.push(await ask(GRANT, { authorization: basic(victim.id, other.secret) }));
    expect(guesses.map(({ status }) => status)).toEqual([...Array<number>(10).fill(401), 429, 429]);
    expectRefusal(guesses.at(-1)!, 'temporarily_unavailable', 429);
    expect(Number(guesses.at(-1)?.headers.get('retry-after'))).toBeGreaterThan(0);
    await tokenOf(app, victim);
    await tokenOf(app, other);
  });

  it('says 503 in its own form while the database is away, and 500 of a fault of its own', async () => {
    const wire = await cuttable(app.config.DATABASE_URL);
    const other = await startElsewhere(app, wire.url, app.storeDirectory);
    try {
      const again = (): Promise<CallAnswer> =>
        oauth(other, 'token', { ...GRANT, client_id: client.id, client_secret: client.secret });
      expect((await again()).status).toBe(200);
      await wire.cut();
      const away = await again();
      expectRefusal(away, 'temporarily_unavailable', 503);
      expect(away.headers.get('retry-after')).toBe('1');
    } finally {
      await other.stop();
    }
    await app.source.query('ALTER TABLE oauth_client_secret RENAME TO elsewhere');
    try {
      expectRefusal(await ask(GRANT), 'server_error', 500);
    } finally {
      await app.source.query('ALTER TABLE elsewhere RENAME TO oauth_client_secret');
    }
  });
});
