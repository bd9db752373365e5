import { parseDictionary, parseList } from 'structured-headers';
import { beforeEach, describe, expect, it } from 'vitest';
import { LeaseBook, LocalCounterStore } from '#throttle';
import { Decider, fieldsOf, refusal, withKey } from '../../testing/decider.js';
import { planOp } from '../../testing/sample-ops.js';
import type { Decision } from './decision.js';
import { UNLIMITED } from './take-tokens.js';

let decider: Decider;
let book: LeaseBook;
beforeEach(() => {
  decider = new Decider();
  const clock = { wallMs: () => Date.parse('2026-05-02T12:00:00Z'), monotonicMs: () => 5 };
  book = new LeaseBook(new LocalCounterStore(clock), clock.monotonicMs);
});

async function run(path: string, headers = {}, address: string | null = '192.0.2.7'): Promise<Decision> {
  for (;;) {
    const decision = decider.run('GET', `/weather/v1${path}`, headers, book, address);
    if (decision.kind !== 'wait') return decision;
    await decision.fetch();
  }
}
const codeOf = (decision: Decision): string => (decision.kind === 'respond' ? (decision.code ?? '') : decision.kind);

/** Items of a List by RFC 9651: names, and parameters. */
function itemsOf(field: string | undefined): [unknown, Record<string, unknown>][] {
  return parseList(field ?? '').map(([name, parameters]) => [name, Object.fromEntries(parameters)]);
}

const day = (limit: number) => ({ rate: null, quota: { limit, per: 'day' } });
const slow = { rate: { limit: 1, per: 'second', burst: 2 }, quota: null };
const routes = [
  { method: 'GET' as const, path: '/a/{x}' },
  { method: 'GET' as const, path: '/b' },
];

describe('all limits of a request', () => {
  beforeEach(() => decider.load({ routes }, planOp('gold', { ...day(9), perRoute: slow, perApi: day(7) })));

  it('are told in fields that are Lists by RFC 9651, one item for each policy, in the same order', async () => {
    const fields = fieldsOf(await run('/b', withKey()));
    expect(itemsOf(fields['ratelimit-policy'])).toEqual([
      ['quota', { q: 9, w: 86_400 }],
      ['api-quota', { q: 7, w: 86_400 }],
      ['route-rate', { q: 1, w: 1 }],
    ]);
    expect(itemsOf(fields.ratelimit)).toEqual([
      ['quota', { r: 8, t: 43_200 }],
      ['api-quota', { r: 6, t: 43_200 }],
      ['route-rate', { r: 1, t: 1 }],
    ]);
    expect(() => parseDictionary(fields.ratelimit ?? '')).toThrow(); // the parser does tell what is none
  });

  it('are taken together or not at all, and the refusal says which of them it was', async () => {
    await run('/a/1', withKey());
    await run('/a/2', withKey()); // the same route
    const refused = await run('/a/3', withKey());
    expect(refusal(refused)).toBe(
      '429 rate_limited: the rate of the plan gold for this route, 1 request per second, 2 at once, is used up; the next request is admitted in 1 s',
    );
    expect(refused.kind === 'respond' && JSON.parse(refused.body)).toMatchObject({
      'violated-policies': ['route-rate'],
      limit: { plan: 'gold', scope: 'route', kind: 'rate', limit: 1, per: 'second' },
    });
    expect(fieldsOf(refused)).toMatchObject({ 'retry-after': '1' });
    expect(itemsOf(fieldsOf(refused).ratelimit)[0]).toEqual(['quota', { r: 7, t: 43_200 }]);
    expect(itemsOf(fieldsOf(await run('/b', withKey())).ratelimit)[1]).toEqual(['api-quota', { r: 4, t: 43_200 }]);
  });
});

describe('an open route', () => {
  const open = { routes, security: 'open' as const, plans: [], openPlan: 'guests' };

  it('is limited for each address of a client, of IPv6 for each /64', async () => {
    decider.load(open, planOp('guests', day(1)));
    const from = async (address: string): Promise<string> => codeOf(await run('/b', {}, address));
    expect(await from('192.0.2.1')).toBe('forward');
    expect([await from('192.0.2.1'), await from('::ffff:192.0.2.1'), await from('192.0.2.2')]).toEqual([
      'quota_exhausted',
      'quota_exhausted',
      'forward',
    ]);
    expect([await from('2001:db8::1'), await from('2001:db8::ffff'), await from('2001:db8:0:1::1')]).toEqual([
      'forward',
      'quota_exhausted',
      'forward',
    ]);
    // whatever is no address is one client
    expect([await from('unknown'), await from('nonsense')]).toEqual(['forward', 'quota_exhausted']);
  });

  it('is not limited where nobody knows the client, without a plan, and for who only asks', async () => {
    decider.load(open, planOp('guests', day(1)));
    for (let i = 0; i < 3; i++) expect(codeOf(await run('/b', {}, null))).toBe('forward');
    for (let i = 0; i < 3; i++) expect(decider.run('GET', '/weather/v1/b', {}, UNLIMITED).kind).toBe('forward');
    decider.load({ ...open, openPlan: undefined });
    for (let i = 0; i < 3; i++) expect(codeOf(await run('/b'))).toBe('forward');
  });

  it('is closed while its plan is not known', async () => {
    decider.load(open);
    expect(refusal(await run('/b'))).toMatch(/^503 plan_missing: weather:v1 limits this route by the plan guests/);
  });

  it('shares what its plan gives an API as a whole with all addresses', async () => {
    decider.load(open, planOp('guests', { rate: null, quota: null, perApi: day(2) }));
    const codes: string[] = [];
    for (let i = 0; i < 3; i++) codes.push(codeOf(await run('/b', {}, `192.0.2.${i}`)));
    expect(codes).toEqual(['forward', 'forward', 'quota_exhausted']);
  });
});
