import fc from 'fast-check';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { Decider, NOW, refusal } from '../../../testing/decider.js';
import { APPLICATION } from '../../../testing/gateway-ops.js';
import { TokenIssuer } from '../../../testing/token-issuer.js';
import { readToken } from './token-text.js';

const issuer = new TokenIssuer('https://issuer.example', () => NOW, 'ES256', 'RS256', 'EdDSA');
const keySet = createLocalJWKSet({ keys: issuer.keys.map(({ jwk }) => jwk) });
const decider = new Decider();
decider.load({ security: 'jwt' }, issuer.op(), issuer.clientOp(APPLICATION));

const decided = (token: string): string => {
  const decision = decider.run('GET', '/weather/v1/today', { authorization: `Bearer ${token}` });
  return decision.kind === 'forward' ? 'taken' : refusal(decision);
};

/** What a library that others have attacked says of the same token, by the same rules. */
async function isTakenByJose(token: string): Promise<boolean> {
  try {
    await jwtVerify(token, keySet, {
      issuer: issuer.issuer,
      audience: 'urn:heliograph:prod',
      algorithms: ['ES256', 'RS256', 'EdDSA'],
      clockTolerance: 60,
      currentDate: new Date(NOW),
      requiredClaims: ['exp'],
    });
    return true;
  } catch {
    return false;
  }
}

const seconds = NOW / 1000;
const time = fc.oneof(
  fc.integer({ min: seconds - 200, max: seconds + 200 }),
  fc.constantFrom(null, '1', -1, 1e300, 0.5),
);
const odd = fc.oneof(
  fc.constantFrom('', 'JWT', 'at+jwt', issuer.issuer, 'key-1', 'key-2', 'ES256', 'none'),
  fc.jsonValue(),
);
/** An object with two of these members at most: with more of them, none would be good. */
function someOf(members: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<object> {
  return fc
    .subarray(Object.keys(members), { maxLength: 2 })
    .chain((names) => fc.record(Object.fromEntries(names.map((name) => [name, members[name] ?? fc.constant(null)]))));
}
const header = someOf({
  alg: fc.oneof({ weight: 3, arbitrary: fc.constantFrom('ES256', 'RS256', 'EdDSA', 'HS256', 'none') }, odd),
  kid: fc.oneof({ weight: 3, arbitrary: fc.constantFrom('key-1', 'key-2', 'key-3') }, odd),
  typ: odd,
  crit: fc.constantFrom(['exp'], ['b64'], []),
  b64: fc.boolean(),
  jwk: fc.constant(issuer.keys[1]?.jwk),
});
const claims = someOf({
  iss: odd,
  aud: fc.oneof(odd, fc.constantFrom('urn:heliograph:prod', ['urn:heliograph:prod', 'x'])),
  exp: time,
  nbf: time,
  iat: time,
  scope: odd,
  jti: odd,
});

describe('the reader of tokens', () => {
  it('takes none that jose does not take, signed as its header says or otherwise', async () => {
    const seen = { taken: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(header, claims, fc.nat({ max: 2 }), async (head, said, index) => {
        const token = issuer.token(said, head, issuer.keys[index]);
        if (decided(token) !== 'taken') seen.refused += 1;
        else {
          seen.taken += 1;
          expect(await isTakenByJose(token)).toBe(true);
        }
      }),
      { numRuns: 1500 },
    );
    expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(50);
  });

  it('takes a token that was changed anywhere for none', () => {
    const good = issuer.token();
    expect(decided(good)).toBe('taken');
    const change = fc.record({
      at: fc.nat({ max: good.length - 1 }),
      cut: fc.nat({ max: 3 }),
      put: fc.stringMatching(/^[A-Za-z0-9_.=+/ -]{0,3}$/),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        let text = good;
        for (const { at, cut, put } of changes) text = text.slice(0, at) + put + text.slice(at + cut);
        // white space around a credential is none of it
        fc.pre(text.trim() !== good && text.trim() !== '');
        expect(decided(text)).toMatch(/^401 credential_/);
      }),
      { numRuns: 2000 },
    );
  });

  it('reads any text, of any JSON, without a fault', () => {
    const part = fc.oneof(
      fc.json().map((json) => Buffer.from(json).toString('base64url')),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
      fc.string({ maxLength: 20 }),
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(part, { maxLength: 6 }).map((parts) => parts.join('.')),
    );
    fc.assert(
      fc.property(text, (token) => {
        expect(typeof readToken(token)).toBe('string');
        fc.pre(token.trim() !== '');
        expect(decided(token)).toMatch(/^401 credential_invalid/);
      }),
      { numRuns: 2000 },
    );
  });
});
