import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeJson, type Op } from '#model';
import { APPLICATION, gone } from '../testing/sample-ops.js';
import { StateFixture } from '../testing/state-fixture.js';
import { TokenIssuer } from '../testing/token-issuer.js';

let f: StateFixture;
beforeEach(() => {
  f = new StateFixture();
});
afterEach(() => f.end());

const issuer = new TokenIssuer();
const nacks = (): string[] => f.store.nacks.map(({ table, key, code }) => `${table} ${key} ${code}`);
const broken = (op: Op, value: Buffer | string): Op => ({ ...op, value: Buffer.from(value) });

describe('what of tokens cannot be used', () => {
  it('R6 lets no token in that was revoked: no issuer, no client, and the revocation of a token whatever its value', async () => {
    const [trusted, client, revoked] = [issuer.op(), issuer.clientOp(APPLICATION), issuer.revokedOp('one')];
    await f.apply(trusted, client, revoked);
    expect(nacks()).toEqual([]);
    const unusable = [broken(trusted, '{"keys":[]}'), broken(client, '{'), broken(revoked, 'for ever')];
    await f.apply(...unusable);
    const expected = [null, null, unusable[2]?.value];
    expect(unusable.map((op) => f.served(op))).toEqual(expected);
    expect(nacks()).toEqual([
      'jwks https://issuer.example record_invalid',
      `revoked_token ${revoked.key.toString('hex')} record_invalid`,
      `client ${client.key.toString('hex')} record_invalid`,
    ]);
    await f.reopen();
    expect(unusable.map((op) => f.served(op))).toEqual(expected);
    await f.apply(trusted, client, gone(revoked));
    expect([f.served(trusted), f.served(client), f.served(revoked)]).toEqual([trusted.value, client.value, null]);
    expect(nacks()).toEqual([]);
  });

  it.each<[string, Op]>([
    ['an issuer under the name of another', { ...issuer.op(), key: Buffer.from('https://other.example') }],
    ['a private key', broken(issuer.op(), encodeJson({ ...valueOf(issuer.op()), keys: [{ kty: 'oct', k: 'AA' }] }))],
    ['a client of no application', broken(issuer.clientOp(APPLICATION), '{"application":"demo"}')],
    ['a client under a name of other length', { ...issuer.clientOp(APPLICATION), key: Buffer.alloc(32) }],
    ['a revoked token under a name of other length', { ...issuer.revokedOp('one'), key: Buffer.alloc(3) }],
  ])('R6 is told of: %s', async (_, op) => {
    await f.apply(op);
    expect(f.store.nacks.map(({ code }) => code)).toEqual(['record_invalid']);
  });
});

function valueOf(op: Op): object {
  return JSON.parse(String(op.value)) as object;
}
