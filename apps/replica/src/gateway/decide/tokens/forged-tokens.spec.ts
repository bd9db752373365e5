import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { PublicJwk, TokenAlgorithm } from '#model';
import { Decider, forwarded, NOW, refusal } from '../../../testing/decider.js';
import { APPLICATION } from '../../../testing/gateway-ops.js';
import { TokenIssuer } from '../../../testing/token-issuer.js';
import type { Decision } from '../decision.js';

const issuer = new TokenIssuer('https://issuer.example', () => NOW, 'ES256', 'RS256');
const [ecKey, rsaKey] = issuer.keys as [(typeof issuer.keys)[0], (typeof issuer.keys)[0]];
const stranger = new TokenIssuer('https://issuer.example', () => NOW, 'ES256');
let decider: Decider;

beforeEach(() => {
  decider = new Decider();
  decider.load({ security: 'jwt' }, issuer.op(), issuer.clientOp(APPLICATION));
});

const ask = (token: string): Decision => decider.run('GET', '/weather/v1/today', { authorization: `Bearer ${token}` });
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
/** The last part of a good token in other words. */
const signedAs = (token: string, signature: Buffer | string): string =>
  `${token.split('.').slice(0, 2).join('.')}.${typeof signature === 'string' ? signature : signature.toString('base64url')}`;
const good = (): string => issuer.token();

describe('a token', () => {
  it.each<TokenAlgorithm>(['ES256', 'ES384', 'ES512', 'EdDSA', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'])(
    'of %s is verified, and refused with one bit of it turned over',
    (alg) => {
      const other = new TokenIssuer('https://other.example', () => NOW, alg);
      decider.load({ security: 'jwt' }, other.op(), other.clientOp(APPLICATION));
      const token = other.token();
      expect(forwarded(ask(token)).consumer).toMatchObject({ application: APPLICATION, expiresAt: NOW + 3_600_000 });
      const signature = Buffer.from(token.split('.')[2] as string, 'base64url');
      signature[signature.length - 1] = (signature.at(-1) as number) ^ 1;
      expect(refusal(ask(signedAs(token, signature)))).toMatch(/^401 credential_invalid: .*signature/);
      expect(refusal(ask(signedAs(token, signature)))).toMatch(/^401 credential_invalid: .*signature/);
      forwarded(ask(token));
    },
  );

  it('is not taken for what its header says of its algorithm', () => {
    const pem = rsaKey.jwk as PublicJwk & { kty: 'RSA' };
    const input = `${part({ alg: 'HS256', typ: 'at+jwt', kid: pem.kid })}.${part(issuer.claims())}`;
    for (const secret of [JSON.stringify(pem), pem.n, ''])
      expect(refusal(ask(`${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`))).toMatch(
        /^401 credential_invalid: .*not signed by an algorithm/,
      );
    for (const alg of ['none', 'None', 'NONE', '', null, ['ES256'], undefined, 'ES256 ', 'toString']) {
      const unsigned = `${part({ alg, typ: 'at+jwt', kid: ecKey.jwk.kid })}.${part(issuer.claims())}`;
      for (const signature of ['', 'AA'])
        expect(refusal(ask(`${unsigned}.${signature}`)), String(alg)).toMatch(/^401 credential_invalid: .*algorithm/);
    }
    // the algorithm of another key of the issuer, under this key's name
    expect(refusal(ask(issuer.token({}, { kid: ecKey.jwk.kid }, rsaKey)))).toMatch(/^401 .*names no key/);
    expect(refusal(ask(issuer.token({}, { alg: 'RS256' })))).toMatch(/^401 .*names no key/);
    expect(refusal(ask(issuer.token({}, { alg: 'PS256' }, rsaKey)))).toMatch(/^401 .*names no key/);
    forwarded(ask(issuer.token({}, {}, rsaKey)));
    // an algorithm that a key of the issuer has, and that its record does not allow
    decider.load({ security: 'jwt' }, issuer.op({ algorithms: ['ES256'] }));
    expect(refusal(ask(issuer.token({}, {}, rsaKey)))).toMatch(/^401 .*names no key/);
  });

  it('is verified by a key of its own issuer only, whatever it says of keys', () => {
    const other = new TokenIssuer('https://other.example', () => NOW);
    decider.load({ security: 'jwt' }, other.op(), other.clientOp(APPLICATION));
    const jwk = (stranger.keys[0] as typeof ecKey).jwk;
    expect(refusal(ask(stranger.token()))).toMatch(/signature that is not of the key/);
    expect(refusal(ask(stranger.token({}, { jwk })))).toMatch(/signature/);
    expect(refusal(ask(stranger.token({}, { jku: 'http://127.0.0.1/', x5u: 'http://127.0.0.1/' })))).toMatch(
      /signature/,
    );
    expect(refusal(ask(other.token({ iss: issuer.issuer })))).toMatch(/signature/);
    expect(refusal(ask(issuer.token({ iss: other.issuer })))).toMatch(/signature/);
    for (const iss of ['https://issuer.example/', 'https://nobody.example', '__proto__', '', 1, null, undefined])
      expect(refusal(ask(issuer.token({ iss }))), String(iss)).toMatch(/issuer \(iss\) that is not trusted/);
    forwarded(ask(other.token()));
  });

  it.each([
    '../../etc/passwd',
    "key-1' OR '1'='1",
    '__proto__',
    'constructor',
    'toString',
    'key-1\u0000',
    'KEY-1',
    'ſ',
    'k'.repeat(256),
    'k'.repeat(257),
    '',
    7,
    null,
    ['key-1'],
    { toString: 'key-1' },
  ])('finds no key by the name %j', (kid) => {
    expect(refusal(ask(issuer.token({}, { kid })))).toMatch(/^401 credential_invalid: .*kid/);
  });

  it('without the name of a key is taken where its issuer has one of the algorithm only', () => {
    forwarded(ask(issuer.token({}, { kid: undefined })));
    const two = new TokenIssuer('https://two.example', () => NOW, 'ES256', 'ES256');
    decider.load({ security: 'jwt' }, two.op(), two.clientOp(APPLICATION));
    expect(refusal(ask(two.token({}, { kid: undefined })))).toMatch(/names no key/);
    forwarded(ask(two.token()));
  });

  it.each<[string, object]>([
    ['of another environment', { aud: 'urn:heliograph:dev' }],
    ['of nobody', { aud: undefined }],
    ['of an empty list', { aud: [] }],
    ['of a list with something else in it', { aud: ['urn:heliograph:prod', 7] }],
    ['of a longer name', { aud: 'urn:heliograph:production' }],
  ])('with the audience %s is refused', (_, claims) => {
    expect(refusal(ask(issuer.token(claims)))).toMatch(/^401 credential_invalid: .*not meant for this environment/);
  });

  it('may be meant for others, too', () => {
    forwarded(ask(issuer.token({ aud: ['https://elsewhere', 'urn:heliograph:prod'] })));
  });

  it.each<[string, object, RegExp]>([
    ['never expires', { exp: undefined }, /when it expires/],
    ['expires in a text', { exp: '9999999999' }, /when it expires/],
    ['begins in a text', { nbf: 'now' }, /nbf or iat/],
    ['was issued at no time', { iat: null }, /nbf or iat/],
    ['has a name that is a number', { jti: 7 }, /jti/],
    ['has the scopes of an object', { scope: { read: true } }, /scope/],
    ['is of no client', { client_id: undefined }, /whose it is in the claim client_id/],
    ['is of a client that is a list', { client_id: ['hgc_client'] }, /whose it is/],
    ['is of a client with half a character', { client_id: '\ud800' }, /whose it is/],
  ])('that %s is refused', (_, claims, message) => {
    expect(refusal(ask(issuer.token(claims)))).toMatch(message);
  });

  it.each<[string, string]>([
    ['JWT', 'forward'],
    ['at+jwt', 'forward'],
    ['application/at+JWT', 'forward'],
    ['logout+jwt', 'refused'],
    ['dpop+jwt', 'refused'],
    ['', 'refused'],
  ])('of the type %j: %s', (typ, expected) => {
    const decision = ask(issuer.token({}, { typ }));
    expect(decision.kind === 'forward' ? 'forward' : 'refused').toBe(expected);
    if (expected === 'refused') expect(refusal(decision)).toMatch(/typ/);
  });

  it('has to say that it is an access token where its issuer always does', () => {
    decider.load({ security: 'jwt' }, issuer.op({ typ: 'at+jwt' }));
    for (const typ of ['JWT', undefined]) expect(refusal(ask(issuer.token({}, { typ })))).toMatch(/typ, at\+jwt is/);
    forwarded(ask(issuer.token()));
  });

  it('has no extensions', () => {
    for (const header of [
      { crit: ['exp'] },
      { crit: [] },
      { b64: false, crit: ['b64'] },
      { b64: false },
      { b64: true },
    ])
      expect(refusal(ask(issuer.token({}, header)))).toMatch(/^401 .*extensions/);
  });

  it('is written in one way only', () => {
    const token = good();
    const [head, payload, signature] = token.split('.') as [string, string, string];
    const der = sign('sha256', Buffer.from(`${head}.${payload}`), ecKey.privateKey);
    expect(refusal(ask(signedAs(token, der)))).toMatch(/signature that is not/);
    // two of the last character's bits are of no byte
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const last = alphabet.indexOf(signature.at(-1) as string);
    const loose = signature.slice(0, -1) + alphabet[last ^ 1];
    expect(refusal(ask(signedAs(token, loose)))).toMatch(/no signature in base64url/);
    for (const text of [
      `${token}=`,
      `${head}=.${payload}.${signature}`,
      `${head}.${payload}`,
      `${head}.${payload}.${signature}.${signature}`,
      `${head}.${payload}.${signature}.${signature}.${signature}`,
      `.${payload}.${signature}`,
      `${head}..${signature}`,
      `${head} .${payload}.${signature}`,
      `${head}.${payload}.${signature.replaceAll(/./g, 'é')}`,
      signature,
      '..',
      '.',
    ])
      expect(refusal(ask(text)), text).toMatch(/^401 credential_invalid/);
    for (let end = 1; end < token.length; end += 7)
      expect(refusal(ask(token.slice(0, end))), String(end)).toMatch(/^401 credential_invalid/);
  });

  it('has claims that are one object of UTF-8, and no other token', () => {
    for (const payload of [
      '[]',
      'null',
      '7',
      '"text"',
      '{',
      '',
      good(),
      `"${good()}"`,
      Buffer.from([0x7b, 0xff, 0x7d]),
    ])
      expect(refusal(ask(issuer.signed(payload))), String(payload)).toMatch(
        /claims that are no JSON object|three parts/,
      );
    expect(refusal(ask(issuer.signed(good(), { cty: 'JWT' })))).toMatch(/claims/);
    expect(refusal(ask(issuer.signed('{"__proto__":{"iss":"https://issuer.example"}}')))).toMatch(/issuer/);
    forwarded(ask(issuer.token({ client_name: 'Zoë 🜚', note: '\u0000' })));
  });

  it('of more than 8 KiB is not looked at', () => {
    const huge = issuer.token({ note: 'x'.repeat(8192) });
    expect(refusal(ask(huge))).toMatch(/^401 credential_invalid: the token has \d+ characters; at most 8192/);
    expect(refusal(ask('a.'.repeat(8000)))).toMatch(/characters; at most 8192/);
    forwarded(ask(issuer.token({ note: 'x'.repeat(5000) })));
  });

  it('of a key that is no key of any kind is refused without a fault', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
    const input = `${part({ alg: 'ES256', kid: ecKey.jwk.kid })}.${part(issuer.claims())}`;
    for (const signature of [
      sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }),
      Buffer.alloc(64),
      Buffer.alloc(64, 0xff),
      Buffer.alloc(63),
      Buffer.alloc(65),
      Buffer.alloc(1),
    ])
      expect(refusal(ask(`${input}.${signature.toString('base64url')}`))).toMatch(/signature that is not/);
  });
});
