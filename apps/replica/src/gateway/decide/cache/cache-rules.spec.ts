import { beforeEach, describe, expect, it } from 'vitest';
import { KEY, withKey } from '../../../testing/decider.js';
import { DATE, type Fields, KeptAnswers } from '../../../testing/kept-answers.js';
import { parseDate, parseDirectives } from './cache-control.js';

let upstream: KeptAnswers;

beforeEach(() => {
  upstream = new KeptAnswers();
  upstream.load();
});

/** For how many seconds an answer with these fields is given to others. */
function lives(answer: Fields, asked: Parameters<KeptAnswers['answer']>[2] = {}): number {
  const livesFor = (seconds: number): boolean => {
    const one = new KeptAnswers();
    one.load();
    one.answer('/a', answer, asked);
    one.now += seconds * 1000 - 1;
    return one.kept('/a') !== null;
  };
  let seconds = 0;
  while (livesFor(seconds + 1)) seconds += 1;
  return seconds;
}

describe('how long an answer is kept', () => {
  it.each<[string, Fields, number]>([
    ['the ttl of the policy, where the upstream says nothing', {}, 60],
    ['the ttl with public, which says nothing of time', { 'Cache-Control': 'public' }, 60],
    ['max-age', { 'Cache-Control': 'max-age=5' }, 5],
    ['max-age beyond the ttl', { 'Cache-Control': 'max-age=500' }, 500],
    ['s-maxage before max-age', { 'Cache-Control': 'max-age=500, s-maxage=7' }, 7],
    ['max-age in quotes', { 'cache-control': 'MAX-AGE="9"' }, 9],
    ['all fields together', { 'Cache-Control': ['public', 'max-age=8'] }, 8],
    ['Expires against Date', { Date: DATE, Expires: plus(30) }, 30],
    ['Expires against the own clock without a Date', { Expires: plus(31) }, 31],
    ['max-age before Expires', { 'Cache-Control': 'max-age=5', Expires: plus(30) }, 5],
    ['less what it has aged already', { 'Cache-Control': 'max-age=50', Age: '20' }, 30],
    ['less what its Date says it has aged', { 'Cache-Control': 'max-age=50', Date: plus(-15) }, 35],
    ['the ttl whatever the clock of the upstream says', { Date: plus(-500), Age: '7' }, 60],
  ])('is %s', (_, answer, seconds) => expect(lives(answer)).toBe(seconds));

  it('is less by the time that the upstream took', () => {
    expect(lives({ 'Cache-Control': 'max-age=50', Age: '10' }, { waitedMs: 5000 })).toBe(35);
  });

  it.each<[string, Fields]>([
    ['no-store', { 'Cache-Control': 'no-store' }],
    ['no-store beside a time', { 'Cache-Control': 'max-age=50, No-Store' }],
    ['private', { 'Cache-Control': 'private, max-age=50' }],
    ['private for some fields', { 'Cache-Control': 'max-age=50, private="x-a, x-b"' }],
    ['private in a broken field', { 'Cache-Control': 'private="x-a, max-age=50' }],
    ['no-cache', { 'Cache-Control': 'no-cache' }],
    ['max-age=0', { 'Cache-Control': 'max-age=0' }],
    ['a max-age that is no number', { 'Cache-Control': 'max-age=-1' }],
    ['a max-age without a value', { 'Cache-Control': 'max-age' }],
    ['two max-ages', { 'Cache-Control': ['max-age=50', 'max-age=60'] }],
    ['Expires in the past', { Expires: plus(-1) }],
    ['Expires: 0', { Expires: '0' }],
    ['two Expires', { Expires: [plus(50), plus(60)] }],
    ['an age beyond its time', { 'Cache-Control': 'max-age=50', Age: '50' }],
    ['Set-Cookie', { 'Cache-Control': 'public, max-age=50', 'Set-Cookie': 'a=1' }],
    ['Vary: *', { Vary: 'Accept, *' }],
    ['Vary by who is calling, as only the gateway knows it', { Vary: 'X-Forwarded-For' }],
    ['Vary that cannot be read', { Vary: 'a b' }],
    ['Vary by more than is bearable', { Vary: Array.from({ length: 17 }, (_, i) => `x-${i}`).join() }],
  ])('is not at all with %s', (_, answer) => {
    expect(upstream.answer('/a', answer)).toBe(false);
    expect(upstream.kept('/a')).toBeNull();
  });

  it('is by the word of the upstream only where the ttl is 0', () => {
    upstream.load({ policies: { cache: { ttlSeconds: 0 } } });
    expect(upstream.answer('/a', {})).toBe(false);
    expect(upstream.answer('/a', { 'Cache-Control': 'max-age=5' })).toBe(true);
  });
});

describe('which statuses are kept', () => {
  it.each([200, 203, 204, 300, 301, 308])('%i by ttl', (status) => {
    expect(upstream.answer('/a', {}, { status, body: status === 204 ? '' : 'x' })).toBe(true);
  });
  it.each([302, 303, 307, 404, 405, 410, 414])('%i only when the upstream says how long', (status) => {
    expect(upstream.answer('/a', {}, { status })).toBe(false);
    expect(upstream.answer('/a', { 'Cache-Control': 'max-age=5' }, { status })).toBe(true);
    expect(upstream.kept('/a')).toBe(`${status} /a`);
  });
  it.each([201, 202, 206, 304, 400, 401, 403, 429, 500, 502, 503, 504])('%i never', (status) => {
    expect(upstream.answer('/a', { 'Cache-Control': 'public, max-age=5' }, { status })).toBe(false);
  });
});

describe('requests', () => {
  const stored = (): void => void upstream.answer('/a', { 'Cache-Control': 'max-age=100', Age: '10' });

  it.each<[string, Fields]>([
    ['no-cache', { 'cache-control': 'no-cache' }],
    ['no-store', { 'cache-control': 'no-store' }],
    ['Pragma: no-cache', { pragma: 'no-cache' }],
    ['max-age below the age', { 'cache-control': 'max-age=9' }],
    ['a max-age that cannot be read', { 'cache-control': 'max-age=x' }],
    ['min-fresh above what is left', { 'cache-control': 'min-fresh=91' }],
    ['a min-fresh that cannot be read', { 'cache-control': 'min-fresh' }],
    ['a range', { range: 'bytes=0-1' }],
    ['If-Match', { 'if-match': '"a"' }],
    ['If-Unmodified-Since', { 'if-unmodified-since': DATE }],
    ['a body', { 'content-length': '1' }],
    ['a chunked body', { 'transfer-encoding': 'chunked' }],
    ['an upgrade', { upgrade: 'websocket', connection: 'upgrade' }],
    ['a field that is not to go upstream', { connection: 'close, accept', accept: 'x' }],
  ])('with %s go upstream', (_, headers) => {
    stored();
    expect(upstream.kept('/a')).toBe('200 /a');
    expect(upstream.kept('/a', headers)).toBeNull();
  });

  it.each<[string, Fields]>([
    ['max-age', { 'cache-control': 'max-age=10' }],
    ['min-fresh', { 'cache-control': 'min-fresh=90' }],
    ['Cache-Control before Pragma', { 'cache-control': 'max-age=10', pragma: 'no-cache' }],
    ['max-stale, since nothing stale is kept', { 'cache-control': 'max-stale' }],
    ['an empty body', { 'content-length': '0' }],
    ['an offer of HTTP/2', { upgrade: 'h2c', connection: 'Upgrade, HTTP2-Settings', 'http2-settings': 'x' }],
    ['usual words for the connection', { connection: 'keep-alive, TE' }],
  ])('with %s that fit are answered', (_, headers) => {
    stored();
    expect(upstream.kept('/a', headers)).toBe('200 /a');
  });

  it.each<[string, Fields]>([
    ['no-store', { 'cache-control': 'no-store' }],
    ['a range', { range: 'bytes=0-1' }],
    ['a body', { 'content-length': '1' }],
    ['a field that did not go upstream', { connection: 'accept-language', 'accept-language': 'de' }],
  ])('with %s leave nothing behind', (_, headers) => {
    expect(upstream.answer('/a', { vary: 'accept-language' }, { headers })).toBe(false);
  });

  it('with no-cache renew what is kept', () => {
    upstream.answer('/a', {}, { body: 'old' });
    upstream.answer('/a', {}, { body: 'new', headers: { 'cache-control': 'no-cache' } });
    expect(upstream.kept('/a')).toBe('200 new');
  });

  it('other than GET are neither answered nor kept, but HEAD is answered by what GET got', () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD'])
      expect([method, upstream.answer('/a', {}, { method })]).toEqual([method, false]);
    upstream.answer('/a', {});
    for (const method of ['POST', 'OPTIONS', 'TRACE']) expect(upstream.kept('/a', {}, method)).toBeNull();
    expect(upstream.kept('/a', {}, 'HEAD')).toBe('200 /a');
  });

  it('of a HEAD route of its own go upstream', () => {
    upstream.load({
      routes: [
        { method: 'GET', path: '/a' },
        { method: 'HEAD', path: '/a' },
      ],
    });
    upstream.answer('/a', {});
    expect([upstream.kept('/a'), upstream.kept('/a', {}, 'HEAD')]).toEqual(['200 /a', null]);
  });
});

describe('who gets what', () => {
  it('what the upstream answered without knowing who asks is for every application', () => {
    upstream.load({ security: 'key' });
    expect(upstream.answer('/a', {}, { headers: withKey() })).toBe(true);
    expect(upstream.kept('/a', { authorization: `Bearer ${KEY}` })).toBe('200 /a');
  });

  it.each<[string, Fields]>([
    ['Authorization', { authorization: 'Basic dTpw' }],
    ['cookies', { cookie: 'session=1' }],
    ['a key that the gateway knows nothing of', { 'x-api-key': 'of the upstream' }],
  ])('what it answered to %s is for everybody only if it says so', (_, headers) => {
    expect(upstream.answer('/a', {}, { headers })).toBe(false);
    for (const said of ['max-age=50', 'max-age=50, must-revalidate'])
      expect(upstream.answer('/a', { 'Cache-Control': said }, { headers })).toBe(false);
    for (const said of ['public', 's-maxage=50']) {
      expect(upstream.answer(`/${said}`, { 'Cache-Control': said }, { headers })).toBe(true);
      expect(upstream.kept(`/${said}`)).toBe(`200 /${said}`);
      expect(upstream.kept(`/${said}`, headers)).toBe(`200 /${said}`);
    }
  });

  it('what it answered to nobody in particular is not for those whom it knows, unless it says so', () => {
    upstream.answer('/a', { 'Cache-Control': 'max-age=50' });
    expect([upstream.kept('/a'), upstream.kept('/a', { cookie: 'a=1' })]).toEqual(['200 /a', null]);
  });

  it('a credential that is passed on makes an answer personal, wherever it stands', () => {
    const credential = { header: 'X-Our-Key', query: 'k', forward: true };
    upstream.load({ security: 'key', credential });
    expect(upstream.answer('/a', {}, { headers: { 'x-our-key': KEY } })).toBe(false);
    expect(upstream.answer(`/a?k=${KEY}`, {})).toBe(true);
    expect(upstream.kept('/a', { 'x-our-key': KEY })).toBeNull();
    upstream.load({ security: 'key', credential: { ...credential, forward: false } });
    expect(upstream.answer(`/a?k=${KEY}&b=1`, {}, { body: 'x' })).toBe(true);
    expect(upstream.kept('/a?b=1', { 'x-our-key': KEY })).toBe('200 x');
  });

  it('cookies that the API takes away are nobody', () => {
    upstream.load({ policies: { cache: { ttlSeconds: 60 }, requestHeaders: { remove: ['Cookie'] } } });
    expect(upstream.answer('/a', {}, { headers: { cookie: 'a=1' } })).toBe(true);
    expect(upstream.kept('/a', { cookie: 'a=2' })).toBe('200 /a');
  });
});

describe('reading fields', () => {
  it('reads directives in every form that is allowed', () => {
    expect([...parseDirectives(['Max-Age = 5 ,public', 'x="a,\\"b\\"" , ,y=z'])]).toEqual([
      ['max-age', '5'],
      ['public', null],
      ['x', 'a,\\"b\\"'],
      ['y', 'z'],
    ]);
  });

  it('takes only the one form of dates that may be sent', () => {
    expect(parseDate('Sat, 02 May 2026 12:00:00 GMT')).toBe(Date.UTC(2026, 4, 2, 12));
    for (const text of ['0', '-1', '2026-05-02', 'Sat, 32 May 2026 12:00:00 GMT', undefined])
      expect(parseDate(text)).toBeNull();
  });
});

function plus(seconds: number): string {
  return new Date(Date.parse(DATE) + seconds * 1000).toUTCString();
}
