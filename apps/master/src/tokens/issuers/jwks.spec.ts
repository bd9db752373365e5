import { generateKeyPairSync, type JsonWebKey } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TOKEN_ALGORITHMS } from '#model';
import { readJwks } from './jwks.js';

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ecJwk: JsonWebKey = ec.publicKey.export({ format: 'jwk' });
const rsaOf = (modulusLength: number): JsonWebKey =>
  generateKeyPairSync('rsa', { modulusLength }).publicKey.export({ format: 'jwk' });
const rsaJwk = rsaOf(2048);
const edJwk: JsonWebKey = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });

describe('a JWK set', () => {
  it('gives public keys with their algorithms, in one order, and nothing that is not known', () => {
    const keys = [
      { ...rsaJwk, kid: 'r', alg: 'RS256', use: 'sig', x5c: ['MIIB'], x5t: 'abc' },
      { ...ecJwk, kid: 'e', key_ops: ['verify'] },
      { ...edJwk, kid: 'd' },
      { ...rsaJwk, kid: 'encrypts', use: 'enc' },
    ];
    const expected = [
      { ...edJwk, kid: 'd', alg: 'EdDSA' },
      { ...ecJwk, kid: 'e', alg: 'ES256' },
      { ...rsaJwk, kid: 'r', alg: 'RS256' },
    ];
    const all = ['RS256', 'ES256', 'EdDSA'] as const;
    expect(readJwks({ keys }, all)).toEqual({ keys: expected, refused: [] });
    expect(readJwks({ keys: keys.toReversed(), more: 1 }, all).keys).toEqual(expected);
  });

  it('takes a key of RSA without an algorithm for each that is allowed', () => {
    const { keys } = readJwks({ keys: [{ ...rsaJwk, kid: 'r' }] }, ['PS256', 'RS256', 'ES256']);
    expect(keys.map(({ alg }) => alg)).toEqual(['PS256', 'RS256']);
  });

  it('is not used where it is symmetric, private, short, of another algorithm, or ambiguous', () => {
    const shown = ec.privateKey.export({ format: 'jwk' });
    const refusals: [object, string][] = [
      [{ kty: 'oct', k: 'c2VjcmV0', kid: 'x', alg: 'HS256' }, 'symmetric'],
      [{ ...shown, kid: 'x' }, 'private half'],
      [{ ...rsaJwk, kid: 'x', d: 'AQAB' }, 'private half'],
      [{ ...rsaOf(1024), kid: 'x', alg: 'RS256' }, '1024 bits'],
      [{ ...ecJwk, kid: 'x', alg: 'HS256' }, 'not known'],
      [{ ...ecJwk, kid: 'x', alg: 'none' }, 'not known'],
      [{ ...rsaJwk, kid: 'x', alg: 'RS512' }, 'not among the allowed'],
      [{ ...ecJwk, kid: 'x', alg: 'RS256' }, 'does not sign by'],
      [{ ...ecJwk, kid: 'x', y: ecJwk.x }, 'is not a key'],
      [{ ...edJwk, kid: 'x' }, 'fits none'],
      [{ ...ecJwk, kid: 'good' }, 'second one of its kid'],
      [{ kty: 'EC', kid: 'x' }, 'fits none'],
    ];
    for (const [key, why] of refusals) {
      const { keys, refused } = readJwks({ keys: [{ ...ecJwk, kid: 'good' }, key] }, ['ES256', 'RS256']);
      expect(
        keys.map(({ kid }) => kid),
        why,
      ).toEqual(['good']);
      expect(refused.map(({ problem }) => problem)).toEqual([expect.stringContaining(why)]);
    }
    const unnamed = readJwks(
      { keys: [ecJwk, generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })] },
      ['ES256'],
    );
    expect(unnamed.refused).toEqual([{ kid: null, problem: expect.stringContaining('second one without a kid') }]);
  });

  it('without a usable key is no answer to go by', () => {
    for (const document of [{ keys: [] }, {}, null, [], 'keys', { keys: [1] }, { keys: [{ kty: 'oct', k: 'x' }] }])
      expect(() => readJwks(document, ['ES256'])).toThrow(/no key that can be used|something else than a JWK set/);
  });

  it('of anything at all makes no key that shows more than a public one', () => {
    const member = fc.oneof(
      fc.string({ maxLength: 50 }),
      fc.constantFrom('EC', 'RSA', 'P-256', 'sig', ecJwk.x, ecJwk.y, rsaJwk.n, 'AQAB'),
    );
    const names = fc.constantFrom(
      'kty',
      'crv',
      'x',
      'y',
      'n',
      'e',
      'kid',
      'use',
      'alg',
      'd',
      'k',
      '__proto__',
      'constructor',
    );
    fc.assert(
      fc.property(fc.array(fc.dictionary(names, member)), (keys) => {
        const good = { ...ecJwk, kid: 'good' };
        for (const key of readJwks({ keys: [good, ...keys] }, TOKEN_ALGORITHMS).keys)
          expect(Object.keys(key).filter((name) => !/^(kty|crv|x|y|n|e|kid|alg)$/.test(name))).toEqual([]);
      }),
    );
  });
});
