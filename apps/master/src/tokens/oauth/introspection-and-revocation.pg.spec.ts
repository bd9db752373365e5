import { decodeJwt, decodeProtectedHeader, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { decodeRevokedToken, newToken, revokedTokenKey, TABLE } from '#model';
import { basic, type MadeClient, newClient, oauth, onChain, tokenOf } from '../../testing/oauth.js';
import { type CallAnswer, type StartedApp, startApp } from '../../testing/start-app.js';

const ISSUER = 'http://localhost:0';
const INACTIVE = { active: false };

let app: StartedApp;
let client: MadeClient;
let other: MadeClient;
let token: string;
beforeAll(async () => {
  app = await startApp();
  for (const [position, id] of ['dev', 'prod'].entries()) await app.call('POST', '/v1/environments', { id, position });
  client = await newClient(app);
  other = await newClient(app);
});
beforeEach(async () => {
  token = await tokenOf(app, client);
});
afterAll(() => app?.stop());

const as = ({ id, secret }: MadeClient): Record<string, string> => ({ authorization: basic(id, secret) });
const introspect = (form: Record<string, string>, headers: Record<string, string> = as(client)): Promise<CallAnswer> =>
  oauth(app, 'introspect', form, headers);
const revoke = (form: Record<string, string>, headers: Record<string, string> = as(client)): Promise<CallAnswer> =>
  oauth(app, 'revoke', form, headers);
const revokedOnChain = async (jti: string | undefined): Promise<number | null> => {
  const value = (await onChain(app, TABLE.revoked_token)).get(revokedTokenKey(ISSUER, jti ?? '').toString('hex'));
  return value ? decodeRevokedToken(value) : null;
};

/** A token that says whatever it is told, by a key of its own. */
async function forged(claims: object, header: object = {}): Promise<string> {
  const { privateKey } = await generateKeyPair('ES256');
  return new SignJWT({ ...decodeJwt(token), ...claims })
    .setProtectedHeader({ ...decodeProtectedHeader(token), alg: 'ES256', ...header })
    .sign(privateKey);
}

describe('RFC 7662: introspection', () => {
  it('tells a client what a token of its own says, and it is not to be stored', async () => {
    const { status, body, headers } = await introspect({ token, token_type_hint: 'refresh_token' });
    const { iat, exp, jti } = decodeJwt(token);
    expect(status).toBe(200);
    expect(body).toEqual({
      active: true,
      scope: 'orders:read orders:write',
      client_id: client.id,
      token_type: 'Bearer',
      exp,
      iat,
      sub: client.id,
      aud: 'urn:heliograph:prod',
      iss: ISSUER,
      jti,
    });
    expect(headers.get('content-type')).toMatch(/^application\/json/);
    expect(headers.get('cache-control')).toBe('no-store');
  });

  it('tells whoever has a role, of every client', async () => {
    const { body } = await app.call('POST', '/v1/access-tokens', { name: 'gateway', role: 'viewer' });
    expect((await introspect({ token }, { authorization: `Bearer ${body.token}` })).body.active).toBe(true);
  });

  it('says of the token of another client no more than of one that is unknown', async () => {
    const answers = await Promise.all([introspect({ token }, as(other)), introspect({ token: 'unknown' }, as(other))]);
    expect(answers.map(({ status, body }) => [status, body])).toEqual([
      [200, INACTIVE],
      [200, INACTIVE],
    ]);
  });

  it('is not for who does not authenticate', async () => {
    const nobody = await introspect({ token }, {});
    expect([nobody.status, nobody.body.error]).toEqual([401, 'invalid_client']);
    expect(nobody.headers.get('www-authenticate')).toMatch(/^Basic /);
    for (const bearer of [token, newToken('hg'), '', '!'.repeat(600)]) {
      const unknown = await introspect({ token }, { authorization: `Bearer ${bearer}` });
      expect([unknown.status, unknown.body.error]).toEqual([401, 'invalid_token']);
      expect(unknown.headers.get('www-authenticate')).toMatch(/^Bearer /);
    }
  });

  it('needs a token', async () => {
    const { status, body } = await introspect({});
    expect([status, body.error]).toEqual([400, 'invalid_request']);
  });

  it('says inactive of what was forged, changed or is no token at all', async () => {
    const [head = '', payload = '', signature = ''] = token.split('.');
    const none = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${payload}.`;
    const ends = signature.endsWith('A') ? 'B' : 'A';
    const bad = [
      await forged({}),
      await forged({}, { kid: `../../${'x'.repeat(37)}` }),
      await forged({}, { kid: "' OR 1=1 --" }),
      none,
      `${head}.${Buffer.from(JSON.stringify({ ...decodeJwt(token), scope: 'admin' })).toString('base64url')}.${signature}`,
      `${head}.${payload}.${ends}${signature.slice(1)}`,
      `${head}.${payload}`,
      `${token}.`,
      'x'.repeat(9000),
      '\0',
      '{}.{}.{}',
    ];
    for (const text of bad)
      expect([text.slice(0, 60), (await introspect({ token: text })).body]).toEqual([text.slice(0, 60), INACTIVE]);
  });

  it('says inactive as soon as a gateway would refuse it', async () => {
    const takeAway: [string, (own: MadeClient) => Promise<unknown>][] = [
      ['client', ({ path }) => app.call('POST', `${path}/revoke`)],
      ['tokens', ({ path }) => app.call('POST', `${path}/revoke-tokens`)],
      [
        'application',
        ({ application }) =>
          app.call('PATCH', `/v1/applications/${application}`, { status: 'suspended' }, { 'if-match': '*' }),
      ],
    ];
    for (const [what, take] of takeAway) {
      const own = await newClient(app);
      const its = await tokenOf(app, own);
      const asAdmin = { authorization: `Bearer ${app.admin}` };
      expect((await introspect({ token: its }, asAdmin)).body.active).toBe(true);
      await take(own);
      expect([what, (await introspect({ token: its }, asAdmin)).body]).toEqual([what, INACTIVE]);
    }
  });
});

describe('RFC 7009: revocation by the client', () => {
  it('puts the token on the chain, until it expires', async () => {
    const answer = await revoke({ token, token_type_hint: 'access_token' });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('heliograph-revision')).toMatch(/^prod@\d+$/);
    const { jti, exp = 0 } = decodeJwt(token);
    expect(await revokedOnChain(jti)).toBe(exp * 1000);
    expect((await introspect({ token })).body).toEqual(INACTIVE);
    expect((await introspect({ token: await tokenOf(app, client) })).body.active).toBe(true);
    const [line] = (await app.call('GET', '/v1/audit?action=token.revoke&limit=1')).body.items;
    expect(line).toMatchObject({ actor: client.id, after: { jti, environment: 'prod' } });
  });

  it('answers 200 of a token that is unknown, forged, expired or revoked already', async () => {
    const { jti = '' } = decodeJwt(token);
    for (const text of ['unknown', await forged({}), await forged({ exp: 1 })]) {
      expect((await revoke({ token: text })).status).toBe(200);
      expect(await revokedOnChain(jti)).toBeNull();
    }
    expect((await revoke({ token })).status).toBe(200);
    expect((await revoke({ token })).status).toBe(200);
  });

  it('takes a token that has just expired, for gateways whose clocks are behind take it yet', async () => {
    const own = await newClient(app);
    await app.source.query(`UPDATE oauth_client SET expires_at = now() + interval '1 second' WHERE id = $1`, [own.id]);
    const its = await tokenOf(app, own);
    const asAdmin = { authorization: `Bearer ${app.admin}` };
    await vi.waitFor(async () => expect((await introspect({ token: its }, asAdmin)).body).toEqual(INACTIVE), 5_000);
    await app.source.query('UPDATE oauth_client SET expires_at = NULL WHERE id = $1', [own.id]);
    expect((await revoke({ token: its }, as(own))).status).toBe(200);
    const { jti, exp = 0 } = decodeJwt(its);
    expect(await revokedOnChain(jti)).toBe(exp * 1000);
  });

  it('refuses the token of another client, which stays good', async () => {
    const { status, body } = await revoke({ token }, as(other));
    expect([status, body.error]).toEqual([400, 'invalid_grant']);
    expect((await introspect({ token })).body.active).toBe(true);
  });

  it('is not for who does not authenticate as a client, and needs a token', async () => {
    for (const headers of [{}, { authorization: `Bearer ${app.admin}` }] as Record<string, string>[]) {
      const { status, body } = await revoke({ token }, headers);
      expect([status, body.error]).toEqual([401, 'invalid_client']);
    }
    const { status, body } = await revoke({});
    expect([status, body.error]).toEqual([400, 'invalid_request']);
  });

  it('is bounded for each client: every entry is on the disk of every replica', async () => {
    const own = await newClient(app);
    const its = await tokenOf(app, own);
    await app.source.query(
      `INSERT INTO revoked_token (environment_id, chain_id, client_id, expires_at)
       SELECT 'prod', substring(sha256(n::text::bytea) FROM 1 FOR 16), $1, now() + interval '1 hour' FROM generate_series(1, 10000) AS n`,
      [own.id],
    );
    const { status, body, headers } = await revoke({ token: its }, as(own));
    expect([status, body.error]).toEqual([503, 'temporarily_unavailable']);
    expect(headers.get('retry-after')).toBe('3600');
    expect((await revoke({ token })).status).toBe(200);
  });
});

describe('revocation by an operator', () => {
  const path = '/v1/environments/prod/revoked-tokens';

  it('takes a token, of ours or of another issuer, or a jti', async () => {
    const { jti, exp = 0 } = decodeJwt(token);
    const own = await app.call('POST', path, { token });
    expect([own.status, own.body]).toEqual([
      200,
      { environment: 'prod', issuer: ISSUER, jti, expiresAt: new Date(exp * 1000).toISOString() },
    ]);
    expect(await revokedOnChain(jti)).toBe(exp * 1000);
    const foreign = await forged({ iss: 'https://id.example.com', jti: 'abc' });
    expect((await app.call('POST', path, { token: foreign })).body).toMatchObject({ issuer: 'https://id.example.com' });
    const byJti = await app.call('POST', path, { jti: 'one' });
    expect(Date.parse(byJti.body.expiresAt)).toBeGreaterThan(Date.now() + 86_400_000);
    expect(await revokedOnChain('one')).not.toBeNull();
  });

  it('never forgets a token sooner because it was revoked again', async () => {
    const at = (seconds: number): string => new Date((Math.floor(Date.now() / 1000) + seconds) * 1000).toISOString();
    const late = at(5000);
    await app.call('POST', path, { jti: 'twice', expiresAt: late });
    await app.call('POST', path, { jti: 'twice', expiresAt: at(50) });
    expect(await revokedOnChain('twice')).toBe(Date.parse(late));
  });

  it('names what is wrong', async () => {
    const claims = async (missing: string): Promise<string> => forged({ [missing]: undefined });
    const faulty: object[] = [
      {},
      { token, jti: 'x' },
      { token, expiresAt: '2030-01-01T00:00:00Z' },
      { jti: 'x', issuer: 'https://id.example.com' },
      { token: 'no.jwt' },
      ...(await Promise.all(['iss', 'jti', 'exp'].map(async (name) => ({ token: await claims(name) })))),
      { token: await forged({ jti: 'a\u0000b' }) },
    ];
    for (const body of faulty) {
      const answer = await app.call('POST', path, body);
      expect([answer.status, answer.body.code], JSON.stringify(body).slice(0, 80)).toEqual([400, 'invalid_request']);
      expect(answer.body.errors.length).toBeGreaterThan(0);
      expect(JSON.stringify(answer.body)).not.toContain(token);
    }
    expect((await app.call('POST', '/v1/environments/nowhere/revoked-tokens', { jti: 'x' })).status).toBe(404);
  });

  it('is for operators only', async () => {
    const { body } = await app.call('POST', '/v1/access-tokens', { name: 'publisher', role: 'publisher' });
    expect((await app.call('POST', path, { jti: 'x' }, { authorization: `Bearer ${body.token}` })).status).toBe(403);
  });
});
