import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  applicationKeyInClient,
  clientKey,
  type ClientRecord,
  decodeClientRecord,
  decodeIssuerRecord,
  decodeRevokedToken,
  encodeClientRecord,
  encodeIssuerRecord,
  encodeRevokedToken,
  type IssuerRecord,
  type PublicJwk,
  publicJwk,
  revokedTokenKey,
  TOKEN_ID_BYTES,
} from './index.js';

const pairs = {
  EC: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  RSA: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  OKP: generateKeyPairSync('ed25519'),
};
const jwk = (kty: keyof typeof pairs, alg: string, kid?: string): PublicJwk =>
  ({ ...pairs[kty].publicKey.export({ format: 'jwk' }), alg, ...(kid === undefined ? {} : { kid }) }) as PublicJwk;

const record: IssuerRecord = {
  issuer: 'https://issuer.example/tenant',
  audience: ['urn:heliograph:prod'],
  algorithms: ['ES256', 'RS256'],
  claim: 'client_id',
  keys: [jwk('EC', 'ES256', 'one'), jwk('RSA', 'RS256', 'two'), jwk('OKP', 'EdDSA')],
};

describe('issuer records', () => {
  it('come back as they were', () => {
    expect(decodeIssuerRecord(encodeIssuerRecord(record))).toEqual(record);
  });

  it.each<[string, unknown, RegExp]>([
    ['a symmetric key', { kty: 'oct', k: 'AAAA', alg: 'HS256', kid: 'a' }, /Invalid/],
    ['an algorithm without a signature', jwk('EC', 'none', 'a'), /must be one of ES256/],
    ['an algorithm of shared secrets', jwk('RSA', 'HS256', 'a'), /must be one of ES256/],
    ['a private key', { ...pairs.EC.privateKey.export({ format: 'jwk' }), alg: 'ES256' }, /Unrecognized key: .*d/],
    ['an algorithm of another kind of key', jwk('EC', 'RS256', 'a'), /P-256, which the algorithm RS256/],
    ['an algorithm of another curve', jwk('EC', 'ES384', 'a'), /P-256, which the algorithm ES384/],
    ['a point that is not on its curve', { ...jwk('EC', 'ES256'), x: 'A'.repeat(43) }, /not a key/],
    [
      'an RSA key that is too short',
      { ...generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' }), alg: 'RS256' },
      /1024 bits/,
    ],
    ['a key for encryption', { ...jwk('EC', 'ES256'), use: 'enc' }, /use/],
  ])('do not take %s', (_, key, message) => {
    const parsed = publicJwk.safeParse(key);
    expect(String(parsed.error)).toMatch(message);
  });

  it('name a key of one algorithm once', () => {
    const twice = { ...record, keys: [jwk('EC', 'ES256'), jwk('EC', 'ES256')] };
    expect(() => encodeIssuerRecord(twice)).toThrow(/same kid and alg/);
    expect(encodeIssuerRecord({ ...record, keys: [jwk('RSA', 'RS256', 'a'), jwk('RSA', 'PS256', 'a')] })).toBeTruthy();
  });
});

describe('client records', () => {
  it('come back as they were, and say which application they refer to', () => {
    const made = fc.record<ClientRecord>(
      {
        application: fc.uuid().map((id) => id.toLowerCase()),
        notBefore: fc.integer({ min: 0, max: 0xffff_ffff }),
        scopes: fc.uniqueArray(fc.stringMatching(/^[a-z:.]{1,9}$/), { maxLength: 4 }),
        ips: fc.uniqueArray(fc.ipV4(), { minLength: 1, maxLength: 4 }),
      },
      { requiredKeys: ['application'] },
    );
    fc.assert(
      fc.property(made, (client) => {
        const bytes = encodeClientRecord(client);
        expect(decodeClientRecord(bytes)).toEqual(client);
        expect(applicationKeyInClient(bytes).toString('hex')).toBe(client.application.replaceAll('-', ''));
      }),
    );
  });

  it('are found by issuer and id together, as bytes of UTF-8', () => {
    const keys = [
      clientKey('https://a', 'x'),
      clientKey('https://b', 'x'),
      clientKey('https://a', 'é'),
      revokedTokenKey('https://a', 'y'),
    ];
    expect(new Set(keys.map(String)).size).toBe(4);
    expect(keys.every(({ length }) => length === TOKEN_ID_BYTES)).toBe(true);
    expect(clientKey('https://a', 'x').toString('hex')).toBe('4a5d4b777a9070d5c622a7a98481e05c');
  });
});

describe('revoked tokens', () => {
  it('say when they expire, in whole seconds rounded up', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff * 1000 }), (at) => {
        expect(decodeRevokedToken(encodeRevokedToken(at))).toBe(Math.ceil(at / 1000) * 1000);
      }),
    );
    expect(decodeRevokedToken(encodeRevokedToken(Number.MAX_SAFE_INTEGER))).toBe(0xffff_ffff * 1000);
    expect(() => decodeRevokedToken(Buffer.alloc(5))).toThrow(/4 bytes/);
  });
});
