import { beforeEach, describe, expect, it } from 'vitest';
import type { Op } from '#model';
import { Decider, fieldsOf, forwarded, NOW, refusal, withKey } from '../../../testing/decider.js';
import { APPLICATION, applicationOp, definitionOf, keyOp, placed } from '../../../testing/gateway-ops.js';
import { headOf } from '../../../testing/request-heads.js';
import { gone } from '../../../testing/sample-ops.js';
import { TokenIssuer } from '../../../testing/token-issuer.js';
import { decide } from '../decide.js';
import { UNLIMITED } from '../take-tokens.js';
import type { Decision } from '../decision.js';

const ADDRESS = '192.0.2.7';
let issuer: TokenIssuer;
let decider: Decider;

beforeEach(() => {
  issuer = new TokenIssuer('https://issuer.example', () => NOW);
  decider = new Decider();
  decider.load({ security: 'jwt' }, issuer.op(), issuer.clientOp(APPLICATION));
});

function ask(token: string, now = NOW, address = ADDRESS): Decision {
  const head = headOf('GET', '/weather/v1/today', { authorization: `Bearer ${token}` }, address);
  return decide(head, decider.state, UNLIMITED, now);
}
function next(...ops: Op[]): void {
  decider.memory.apply(ops);
  decider.state.refresh(decider.memory.snapshot());
}
const outcome = (decision: Decision): string => (decision.kind === 'respond' ? `${decision.code}` : decision.kind);

/** How many signatures are verified, and entries of the state read, while something is done. */
function counted(act: () => void): { verified: number; read: number } {
  const book = decider.state.tokens as unknown as {
    issuers: { byName: Map<string, { keys: Set<{ verifies: (a: Buffer, b: Buffer) => boolean }> }> };
    snapshot: { get: (table: number, key: Buffer) => Buffer | null };
  };
  const count = { verified: 0, read: 0 };
  for (const { keys } of book.issuers.byName.values())
    for (const key of keys) {
      const { verifies } = key;
      key.verifies = (input, signature) => ((count.verified += 1), verifies(input, signature));
    }
  const { get } = book.snapshot;
  book.snapshot.get = (table, key) => ((count.read += 1), get(table, key));
  act();
  book.snapshot.get = get;
  return count;
}

describe('the time of a token', () => {
  it('is a minute longer than it says, either way, and no longer, whether it was verified before or not', () => {
    const [second, skew] = [1000, 60_000];
    const expiring = issuer.token({ exp: NOW / 1000 });
    const beginning = issuer.token({ nbf: NOW / 1000 });
    const issued = issuer.token({ iat: NOW / 1000 });
    expect(outcome(ask(expiring, NOW + skew))).toBe('credential_expired');
    expect(outcome(ask(beginning, NOW - skew - 1))).toBe('credential_not_yet_valid');
    expect(outcome(ask(issued, NOW - skew - second))).toBe('credential_not_yet_valid');
    expect(outcome(ask(expiring, NOW + skew - 1))).toBe('forward');
    for (const token of [beginning, issued]) expect(outcome(ask(token, NOW - skew))).toBe('forward');
    expect(refusal(ask(expiring, NOW + skew))).toBe(
      '401 credential_expired: the token expired at 2026-05-02T12:00:00.000Z',
    );
    expect(outcome(ask(beginning, NOW - skew - 1))).toBe('credential_not_yet_valid');
    expect(outcome(ask(expiring, NOW))).toBe('forward');
  });

  it('may be any number', () => {
    for (const exp of [-1e300, -1, 0, 0.5]) expect(outcome(ask(issuer.token({ exp })))).toBe('credential_expired');
    for (const exp of [1e300, Number.MAX_VALUE, NOW / 1000 + 0.25]) {
      const { consumer } = forwarded(ask(issuer.token({ exp })));
      expect(new Date(consumer?.expiresAt ?? Number.NaN).toISOString()).toMatch(/^(9999-12-31T23:59:59.000|2026)/);
    }
    for (const nbf of [1e300, 1e15]) expect(outcome(ask(issuer.token({ nbf })))).toBe('credential_not_yet_valid');
  });
});

describe('what the state says of a token', () => {
  it('G2 holds from the next revision on: a token, the tokens of a client, the client, an issuer', () => {
    const [one, other] = [issuer.token({ jti: 'one' }), issuer.token({ jti: 'other', iat: NOW / 1000 - 10 })];
    const both = (): string[] => [outcome(ask(one)), outcome(ask(other))];
    expect(both()).toEqual(['forward', 'forward']);
    next(issuer.revokedOp('one'));
    expect(both()).toEqual(['credential_revoked', 'forward']);
    next(issuer.clientOp(APPLICATION, { notBefore: NOW / 1000 }));
    expect(both()).toEqual(['credential_revoked', 'credential_revoked']);
    next(gone(issuer.revokedOp('one')));
    expect(both()).toEqual(['forward', 'credential_revoked']);
    expect(outcome(ask(issuer.token({ iat: undefined })))).toBe('credential_revoked');
    next(issuer.clientOp(APPLICATION));
    expect(both()).toEqual(['forward', 'forward']);
    next(gone(issuer.clientOp(APPLICATION)));
    expect(both()).toEqual(['credential_unknown', 'credential_unknown']);
    next(issuer.clientOp(APPLICATION), gone(issuer.op()));
    expect(both()).toEqual(['credential_invalid', 'credential_invalid']);
    next(issuer.op());
    expect(both()).toEqual(['forward', 'forward']);
    next(applicationOp({ 'weather:v1': 'gold' }, APPLICATION, { suspended: true }));
    expect(both()).toEqual(['application_suspended', 'application_suspended']);
    next(applicationOp({ 'maps:v1': 'gold' }));
    expect(both()).toEqual(['not_subscribed', 'not_subscribed']);
    next(gone(applicationOp({})));
    expect(both()).toEqual(['credential_unknown', 'credential_unknown']);
  });

  it('G2 is looked up anew when nobody can tell what changed', () => {
    const token = issuer.token({ jti: 'one' });
    forwarded(ask(token));
    decider.memory.apply(issuer.revokedOp('one'), gone(issuer.op()));
    decider.state.refresh({ ...decider.memory.snapshot(), changesSince: () => ({ entries: [], complete: false }) });
    expect(outcome(ask(token))).toBe('credential_invalid');
    next(issuer.op());
    expect(outcome(ask(token))).toBe('credential_revoked');
  });

  it('costs a token one verification, and one look for each revision', () => {
    const token = issuer.token();
    expect(counted(() => Array.from({ length: 50 }, () => forwarded(ask(token))))).toEqual({ verified: 1, read: 3 });
    next(keyOp('another'));
    expect(counted(() => Array.from({ length: 50 }, () => forwarded(ask(token))))).toEqual({ verified: 0, read: 1 });
    const forged = `${token.slice(0, -8)}AAAAAAAA`;
    const many = counted(() =>
      Array.from({ length: 50 }, () => expect(outcome(ask(forged))).toBe('credential_invalid')),
    );
    expect(many.verified).toBe(1);
  });

  it('lets tokens of a key that stays pass without another verification when another key comes or goes', () => {
    const [first, second] = [issuer.keys[0], issuer.addKey('ES256')];
    const [old, recent] = [issuer.token(), issuer.token({}, {}, second)];
    forwarded(ask(old));
    expect(outcome(ask(recent))).toBe('credential_invalid');
    next(issuer.op());
    expect(counted(() => forwarded(ask(old))).verified).toBe(0);
    expect(counted(() => forwarded(ask(recent))).verified).toBe(1);
    next(issuer.op({ keys: [second.jwk] }));
    expect([outcome(ask(old)), outcome(ask(recent))]).toEqual(['credential_invalid', 'forward']);
    // the name of a key that was replaced
    const impostor = new TokenIssuer(issuer.issuer, () => NOW, 'ES256');
    next(issuer.op({ keys: [second.jwk, (impostor.keys[0] as NonNullable<typeof first>).jwk] }));
    expect([outcome(ask(old)), outcome(ask(impostor.token()))]).toEqual(['credential_invalid', 'forward']);
    next(issuer.op({ audience: ['urn:heliograph:dev'], keys: [second.jwk] }));
    expect(outcome(ask(recent))).toBe('credential_invalid');
  });
});

describe('a flood of forged tokens', () => {
  const forged = (i: number): string => issuer.token({ jti: `forged-${i}` }).replace(/[^.]{86}$/, 'A'.repeat(86));

  it('costs a bounded time, after which those who sent none are served still, and all are soon', () => {
    const known = issuer.token();
    forwarded(ask(known));
    let verified = 0;
    for (let i = 0; verified === i; i++)
      if (outcome(ask(forged(i), NOW, '198.51.100.1')) === 'credential_invalid') verified += 1;
    // a quarter of a second, in verifications of ES256 of 100 us
    expect(verified).toBeGreaterThan(2400);
    expect(verified).toBeLessThanOrEqual(2500);
    const refused = ask(forged(-1), NOW, '198.51.100.1');
    expect([refusal(refused).slice(0, 24), fieldsOf(refused)['retry-after']]).toEqual([
      '503 credential_unchecked',
      '1',
    ]);
    // who sends good tokens, and who sends one that is known
    expect(outcome(ask(issuer.token(), NOW, '198.51.100.2'))).toBe('forward');
    expect(outcome(ask(known, NOW, '198.51.100.1'))).toBe('forward');
    expect(outcome(ask(forged(-2), NOW + 1000, '198.51.100.1'))).toBe('credential_invalid');
    expect(outcome(ask(forged(-3), NOW - 60_000, '198.51.100.1'))).toBe('credential_invalid');
  });

  it('is refused without a verification where the signature would make no good token of it', () => {
    const cheap = [
      issuer.token({ exp: NOW / 1000 - 61 }),
      issuer.token({ client_id: 'nobody' }),
      issuer.token({ aud: 'another' }),
      issuer.token({}, { kid: 'another' }),
      issuer.token({ iss: 'another' }),
      'a.b.c',
    ];
    expect(counted(() => cheap.forEach((token) => expect(ask(token).kind).toBe('respond'))).verified).toBe(0);
  });
});

describe('scopes and addresses', () => {
  const routes = [
    { method: 'GET' as const, path: '/today' },
    { method: 'GET' as const, path: '/write', scopes: ['weather:read', 'weather:write'] },
    { method: 'GET' as const, path: '/any', scopes: [] },
  ];
  const path = (name: string, headers: Record<string, string | string[]>, address = ADDRESS): Decision =>
    decider.run('GET', `/weather/v1/${name}`, headers, UNLIMITED, address);

  beforeEach(() => {
    decider.load({ security: 'key-or-jwt', routes, scopes: ['weather:read'] });
  });

  it.each([
    [{ scope: 'weather:read' }, ['forward', 'insufficient_scope', 'forward']],
    [{ scope: ' weather:write  weather:read ' }, ['forward', 'forward', 'forward']],
    [{ scp: ['weather:read', 'weather:write'] }, ['forward', 'forward', 'forward']],
    [{ scope: 'weather:rea weather:reads WEATHER:READ' }, ['insufficient_scope', 'insufficient_scope', 'forward']],
    [{}, ['insufficient_scope', 'insufficient_scope', 'forward']],
  ])('of the token %j: %j', (claims, expected) => {
    const authorization = `Bearer ${issuer.token(claims)}`;
    expect(['today', 'write', 'any'].map((name) => outcome(path(name, { authorization })))).toEqual(expected);
  });

  it("that the client no longer has are no token's any more", () => {
    const authorization = `Bearer ${issuer.token({ scope: 'weather:read weather:write' })}`;
    expect(outcome(path('write', { authorization }))).toBe('forward');
    next(issuer.clientOp(APPLICATION, { scopes: ['weather:read'] }));
    expect([outcome(path('write', { authorization })), outcome(path('today', { authorization }))]).toEqual([
      'insufficient_scope',
      'forward',
    ]);
  });

  it('of a key are those of its record, and the answer says which are needed', () => {
    decider.load(
      { security: 'key-or-jwt', routes, scopes: ['weather:read'] },
      keyOp('reader', { scopes: ['weather:read'] }),
    );
    expect(['today', 'write', 'any'].map((name) => outcome(path(name, { 'x-api-key': 'reader' })))).toEqual([
      'forward',
      'insufficient_scope',
      'forward',
    ]);
    const refused = path('write', { 'x-api-key': 'reader' });
    expect(refusal(refused)).toMatch(
      /^403 insufficient_scope: GET \/write of weather:v1 requires .* has not got weather:write/,
    );
    expect(fieldsOf(refused)['www-authenticate']).toBe(
      'Bearer realm="weather:v1", error="insufficient_scope", scope="weather:read weather:write"',
    );
    expect(fieldsOf(path('today', {}))['www-authenticate']).toBe('Bearer realm="weather:v1", scope="weather:read"');
    expect(outcome(path('today', withKey()))).toBe('insufficient_scope');
  });

  it.each([
    ['10.1.2.3', 'forward'],
    ['::ffff:10.1.2.3', 'forward'],
    ['2001:db8::7', 'forward'],
    ['11.1.2.3', 'ip_denied'],
    ['2001:db9::7', 'ip_denied'],
    ['no address', 'ip_denied'],
  ])('%s: %s, for a key and a client that are bound to addresses', (address, expected) => {
    const ips = ['10.0.0.0/8', '2001:db8::/32'];
    next(keyOp('bound', { ips, scopes: ['weather:read'] }), issuer.clientOp(APPLICATION, { ips }));
    const authorization = `Bearer ${issuer.token({ scope: 'weather:read' })}`;
    expect(outcome(path('today', { 'x-api-key': 'bound' }, address))).toBe(expected);
    expect(outcome(path('today', { authorization }, address))).toBe(expected);
    expect(path('today', { authorization }, address)).toMatchObject(expected === 'ip_denied' ? { status: 403 } : {});
  });
});

describe('which credential a route takes', () => {
  it('is a key, a token, or what it looks like', () => {
    const api = (security: 'key' | 'jwt' | 'key-or-jwt') =>
      placed(definitionOf({ name: security, context: `/${security}`, security }));
    const subscribed = applicationOp({ 'key:v1': 'gold', 'jwt:v1': 'gold', 'key-or-jwt:v1': 'gold' });
    next(...api('key'), ...api('jwt'), ...api('key-or-jwt'), subscribed, keyOp('a.b.c'));
    const at = (security: string, credential: string): string =>
      outcome(decider.run('GET', `/${security}/today`, { authorization: `Bearer ${credential}` }));
    const token = issuer.token();
    expect(['key', 'jwt', 'key-or-jwt'].map((security) => [at(security, 'hg_live_test'), at(security, token)])).toEqual(
      [
        ['forward', 'credential_unknown'],
        ['credential_invalid', 'forward'],
        ['forward', 'forward'],
      ],
    );
    const key = decider.run('GET', '/jwt/today', { 'x-api-key': 'hg_live_test' });
    expect(refusal(key)).toMatch(/three parts .*; keys are not taken here$/);
    // a key of another gateway may have the form of a token
    expect([at('key', 'a.b.c'), at('key-or-jwt', 'a.b.c')]).toEqual(['forward', 'credential_invalid']);
    const missing = decider.run('GET', '/key-or-jwt/today', {});
    expect(refusal(missing)).toMatch(/^401 credential_missing: send a key or an access token in the header X-API-Key/);
    const withheld = decider.run('GET', '/jwt/today', { authorization: `Bearer ${token}` });
    expect(forwarded(withheld).withheld).toEqual(['authorization']);
  });
});
