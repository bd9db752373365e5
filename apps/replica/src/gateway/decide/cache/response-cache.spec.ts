import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Definition } from '#model';
import { DATE, type Fields, KeptAnswers } from '../../../testing/kept-answers.js';
import { placed, definitionOf } from '../../../testing/gateway-ops.js';
import type { Recording } from './recording.js';

const KIB = 1024;
let upstream: KeptAnswers;

beforeEach(() => {
  upstream = new KeptAnswers();
  upstream.load();
});

/** The fields of a hit, names in lower case. */
function fieldsOf(path: string, headers: Fields = {}): Record<string, string> | null {
  const hit = upstream.hit(path, headers);
  if (!hit) return null;
  const result: Record<string, string> = {};
  for (let i = 0; i < hit.headers.length; i += 2)
    result[(hit.headers[i] as string).toLowerCase()] = hit.headers[i + 1] as string;
  return result;
}

describe('what is kept', () => {
  it('is found by path and query, as they were sent', () => {
    upstream.answer('/a?x=1', {});
    expect(['/a?x=1', '/a', '/a?x=2', '/A?x=1', '/a/?x=1', '/b?x=1'].map((path) => upstream.kept(path))).toEqual([
      '200 /a?x=1',
      ...Array<null>(5).fill(null),
    ]);
  });

  it('is apart by Host, which upstreams write into links', () => {
    upstream.answer('/a', {}, { headers: { host: 'evil.example.com' } });
    expect([upstream.kept('/a'), upstream.kept('/a', { host: 'evil.example.com' })]).toEqual([null, '200 /a']);
  });

  it('is apart by scheme, for the same reason', () => {
    upstream.answer('/a', {});
    upstream.scheme = 'https';
    expect(upstream.kept('/a')).toBeNull();
    upstream.answer('/a', {}, { body: 'secure' });
    expect(upstream.kept('/a')).toBe('200 secure');
    upstream.scheme = 'http';
    expect(upstream.kept('/a')).toBe('200 /a');
  });

  it('is of one API, although another one has the same path below its context', () => {
    const other = definitionOf({
      name: 'maps',
      context: '/weather/v1/maps',
      security: 'open',
      routes: [{ method: 'GET', path: '/*' }],
      policies: { cache: { ttlSeconds: 5 } },
    });
    upstream.answer('/maps/a', {}, { body: 'of weather' });
    expect(upstream.kept('/maps/a')).toBe('200 of weather');
    upstream.decider.load({}, ...placed(other));
    expect(upstream.kept('/maps/a')).toBeNull();
  });

  it('is of one release: gone with the next one, and not back with the one before', () => {
    const policies: Definition['policies'] = { cache: { ttlSeconds: 60 } };
    upstream.answer('/a', {});
    upstream.load();
    expect(upstream.kept('/a')).toBe('200 /a'); // the same release again
    upstream.load({ policies: { ...policies, maxBodyBytes: 1 } });
    expect(upstream.kept('/a')).toBeNull();
    upstream.load();
    expect(upstream.kept('/a')).toBeNull();
  });

  it('is nothing on routes without the policy', () => {
    upstream.load({
      policies: {},
      routes: [
        { method: 'GET', path: '/a' },
        { method: 'GET', path: '/b', policies: { cache: { ttlSeconds: 5 } } },
      ],
    });
    expect(upstream.answer('/a', { 'Cache-Control': 'public, max-age=50' })).toBe(false);
    expect([upstream.answer('/b', {}), upstream.kept('/b'), upstream.kept('/a')]).toEqual([true, '200 /b', null]);
  });

  it('is what the upstream said of the answer, and not of the connection', () => {
    upstream.answer('/a', {
      Connection: 'close, X-Hop',
      'X-Hop': '1',
      'Keep-Alive': 'timeout=5',
      'Transfer-Encoding': 'chunked',
      Trailer: 'x',
      'X-Request-Id': 'of another',
      'Content-Type': 'text/plain',
      Date: DATE,
      'Cache-Control': 'public',
      'X-Text': 't\u00e9xt',
    });
    expect(fieldsOf('/a')).toEqual({
      'content-type': 'text/plain',
      date: DATE,
      'cache-control': 'public',
      'x-text': 't\u00e9xt',
      age: '0',
    });
  });

  it('tells its age, from where the upstream began to count, and its date', () => {
    upstream.answer('/a', { Age: '5', 'Cache-Control': 'max-age=50' }, { waitedMs: 600 });
    expect(fieldsOf('/a')).toMatchObject({ age: '5', date: DATE });
    upstream.now += 9_400;
    expect(fieldsOf('/a')?.['age']).toBe('15');
  });

  it('does not change with what is done to a hit', () => {
    upstream.answer('/a', { 'X-A': '1' });
    upstream.hit('/a')?.headers.splice(0);
    expect(fieldsOf('/a')).toMatchObject({ 'x-a': '1' });
  });
});

describe('answers that vary', () => {
  const vary = (language: string, encoding = '') => ({ 'accept-language': language, 'accept-encoding': encoding });

  it('are found by the fields that they name', () => {
    upstream.answer('/a', { Vary: 'Accept-Language' }, { headers: vary('de'), body: 'hallo' });
    upstream.answer('/a', { Vary: 'accept-language' }, { headers: vary('en'), body: 'hello' });
    expect(['de', 'en', 'fr', ''].map((language) => upstream.kept('/a', vary(language, 'br')))).toEqual([
      '200 hallo',
      '200 hello',
      null,
      null,
    ]);
    upstream.answer('/a', { Vary: 'accept-language' }, { body: 'none' });
    expect([upstream.kept('/a'), upstream.kept('/a', vary('de'))]).toEqual(['200 none', '200 hallo']);
  });

  it('are never given by fewer fields than the newest of them names', () => {
    upstream.answer('/a', { Vary: 'Accept-Language' }, { headers: vary('de', 'gzip'), body: 'plain' });
    upstream.answer(
      '/a',
      { Vary: ['Accept-Encoding', 'Accept-Language, accept-encoding'] },
      { headers: vary('de', 'br'), body: 'br' },
    );
    expect([upstream.kept('/a', vary('de', 'br')), upstream.kept('/a', vary('de', 'gzip'))]).toEqual(['200 br', null]);
  });

  it('tell one value with a comma from two fields, which mean the same, and from other fields', () => {
    const headers = { 'accept-language': ['de', 'en'] };
    upstream.answer('/a', { Vary: 'accept-language, accept-encoding' }, { headers });
    expect(upstream.kept('/a', { 'accept-language': 'de, en' })).toBe('200 /a');
    expect(upstream.kept('/a', { 'accept-language': 'de', 'accept-encoding': 'en' })).toBeNull();
  });

  it('by fields that stay at the gateway do not', () => {
    upstream.load({ security: 'key' });
    upstream.answer('/a', { Vary: 'X-API-Key, Authorization' }, { headers: { 'x-api-key': 'hg_live_test' } });
    expect(upstream.kept('/a', { authorization: 'Bearer hg_live_test' })).toBe('200 /a');
  });

  it('are all forgotten by a write', () => {
    upstream.answer('/a', { Vary: 'Accept-Language' }, { headers: vary('de') });
    upstream.answer('/a', {}, { method: 'PUT', status: 204, body: '' });
    upstream.answer('/a', { Vary: 'Accept-Language' }, { headers: vary('en') });
    expect([upstream.kept('/a', vary('de')), upstream.kept('/a', vary('en'))]).toEqual([null, '200 /a']);
  });
});

describe('writes', () => {
  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'PURGE'])(
    'by %s that succeed outdate what is kept of their URI',
    (method) => {
      for (const path of ['/a', '/b']) upstream.answer(path, {});
      upstream.answer('/a', {}, { method, status: 201 });
      expect([upstream.kept('/a'), upstream.kept('/b')]).toEqual([null, '200 /b']);
    },
  );

  it('outdate it on routes that keep nothing themselves', () => {
    upstream.load({
      policies: {},
      routes: [
        { method: 'GET', path: '/a', policies: { cache: { ttlSeconds: 5 } } },
        { method: 'PUT', path: '/*' },
      ],
    });
    upstream.answer('/a', {});
    upstream.answer('/a', {}, { method: 'PUT' });
    expect(upstream.kept('/a')).toBeNull();
  });

  it('that fail outdate nothing', () => {
    upstream.answer('/a', {});
    for (const status of [400, 409, 500]) upstream.answer('/a', {}, { method: 'PUT', status });
    expect(upstream.kept('/a')).toBe('200 /a');
  });

  it('outdate an answer that is still being written down', () => {
    const recording = upstream.record('/a', { 'content-length': '1' });
    upstream.answer('/a', {}, { method: 'DELETE' });
    recording?.write(Buffer.from('x'));
    recording?.end();
    expect([upstream.kept('/a'), upstream.cache.bytes]).toEqual([null, 0]);
  });
});

describe('conditional requests', () => {
  const etag = 'W/"a,b"';
  const answer = {
    ETag: etag,
    'Last-Modified': DATE,
    'Content-Type': 'text/plain',
    'Cache-Control': 'max-age=9',
    Vary: 'a',
  };

  it.each(['"a,b"', 'W/"a,b"', '"x", "a,b"', '*'])('are answered with 304 by the tag %s', (tag) => {
    upstream.answer('/a', answer);
    expect(upstream.kept('/a', { 'if-none-match': tag })).toBe('304 ');
    expect(fieldsOf('/a', { 'if-none-match': tag })).toEqual({
      etag,
      'cache-control': 'max-age=9',
      vary: 'a',
      date: DATE,
      age: '0',
    });
  });

  it('are answered with the whole by another tag, whatever their date says', () => {
    upstream.answer('/a', answer);
    for (const tag of ['"x"', 'a,b', '"a', '""'])
      expect(upstream.kept('/a', { 'if-none-match': tag, 'if-modified-since': DATE })).toBe('200 /a');
  });

  it('are answered by the date where no tag is given', () => {
    upstream.answer('/a', answer);
    const later = new Date(Date.parse(DATE) + 1000).toUTCString();
    const earlier = new Date(Date.parse(DATE) - 1000).toUTCString();
    const given = [DATE, later, earlier, 'yesterday'];
    expect(given.map((since) => upstream.hit('/a', { 'if-modified-since': since })?.status)).toEqual([
      304, 304, 200, 200,
    ]);
  });

  it('find no match where the upstream gave neither tag nor date, or no 200', () => {
    upstream.answer('/a', {});
    upstream.answer('/b', { ...answer, 'Cache-Control': 'max-age=5' }, { status: 404 });
    expect(upstream.kept('/a', { 'if-none-match': '"x"' })).toBe('200 /a');
    expect(upstream.kept('/a', { 'if-modified-since': DATE })).toBe('200 /a');
    expect(upstream.kept('/b', { 'if-none-match': etag })).toBe('404 /b');
  });
});

describe('writing down', () => {
  it('takes copies, in any pieces', () => {
    const recording = upstream.record('/a', { 'Content-Length': '5' });
    const buffer = Buffer.from('ab');
    recording?.write(buffer);
    buffer.fill('x');
    recording?.write(Buffer.alloc(0));
    recording?.write(Buffer.from('cde'));
    recording?.end();
    recording?.write(Buffer.from('more'));
    recording?.end();
    recording?.abort();
    expect(upstream.kept('/a')).toBe('200 abcde');
  });

  it('comes to nothing when it is broken off, short, or longer than announced', () => {
    for (const [body, end] of [
      ['abcde', false],
      ['abcd', true],
      ['abcdef', true],
    ] as const) {
      const recording = upstream.record('/a', { 'Content-Length': '5' });
      recording?.write(Buffer.from(body));
      if (end) recording?.end();
      else recording?.abort();
      expect([upstream.kept('/a'), upstream.cache.bytes]).toEqual([null, 0]);
    }
  });

  it('is not begun where only the end of the connection would end the body', () => {
    expect(upstream.record('/a', {})).toBeNull();
    expect(upstream.record('/a', { 'Content-Length': 'x' })).toBeNull();
    expect(upstream.record('/a', { 'Transfer-Encoding': 'chunked' })).not.toBeNull();
  });

  it('happens once at a time for one URI', () => {
    const first = upstream.record('/a', { 'Content-Length': '1' });
    expect(upstream.record('/a', { 'Content-Length': '1' })).toBeNull();
    expect(upstream.record('/b', { 'Content-Length': '1' })).not.toBeNull();
    first?.abort();
    expect(upstream.record('/a', { 'Content-Length': '1' })).not.toBeNull();
  });

  it('is left to another caller after ten seconds, then after twice as long each time', () => {
    const begin = (): Recording | null => upstream.record('/a', { 'Content-Length': '3' });
    const writing = (after: number): string => {
      upstream.now += after;
      return begin() === null ? 'the one before' : 'another';
    };
    const slow = begin();
    slow?.write(Buffer.from('ol'));
    expect([writing(9_999), upstream.cache.bytes]).toEqual(['the one before', 2]);
    expect([writing(1), upstream.cache.bytes]).toEqual(['another', 0]);
    expect([19_999, 1, 39_999].map(writing)).toEqual(['the one before', 'another', 'the one before']);
    upstream.now += 1;
    const last = begin();
    last?.write(Buffer.from('new'));
    slow?.write(Buffer.from('d'));
    slow?.end();
    expect(upstream.kept('/a')).toBeNull();
    last?.end();
    expect(upstream.kept('/a')).toBe('200 new');
  });

  it('is given up for a body above an eighth of the cache, announced or not', () => {
    upstream = new KeptAnswers(80 * KIB);
    upstream.load();
    expect(upstream.record('/a', { 'Content-Length': String(10 * KIB + 1) })).toBeNull();
    const recording = upstream.record('/a', { 'Transfer-Encoding': 'chunked' });
    recording?.write(Buffer.alloc(10 * KIB));
    expect(upstream.cache.bytes).toBe(10 * KIB);
    recording?.write(Buffer.alloc(1));
    expect(upstream.cache.bytes).toBe(0);
    recording?.end();
    expect(upstream.kept('/a')).toBeNull();
    upstream.answer('/b', {}, { body: 'x'.repeat(10 * KIB) });
    expect(upstream.kept('/b')).not.toBeNull();
  });

  it('never takes more than half of the cache, however many bodies are under way', () => {
    upstream = new KeptAnswers(80 * KIB);
    upstream.load();
    upstream.answer('/kept', {});
    for (let i = 0; i < 8; i++)
      upstream.record(`/${i}`, { 'Transfer-Encoding': 'chunked' })?.write(Buffer.alloc(9 * KIB));
    expect(upstream.cache.bytes).toBeLessThan(45 * KIB);
    expect(upstream.kept('/kept')).toBe('200 /kept');
  });
});

describe('room', () => {
  it('is made by what was not used for the longest time', () => {
    upstream = new KeptAnswers(64 * KIB);
    upstream.load();
    const body = 'x'.repeat(7 * KIB);
    for (let i = 0; i < 7; i++) upstream.answer(`/${i}`, {}, { body });
    expect(upstream.kept('/0')).not.toBeNull();
    for (const path of ['/7', '/8']) upstream.answer(path, {}, { body });
    const left = Array.from({ length: 9 }, (_, i) => i).filter((i) => upstream.kept(`/${i}`) !== null);
    expect(left).toEqual([0, 3, 4, 5, 6, 7, 8]);
    expect(upstream.cache.size).toBe(7);
  });

  it('is none at all in a cache of no bytes', () => {
    upstream = new KeptAnswers(0);
    upstream.load();
    upstream.answer('/a', {});
    upstream.answer('/b', { 'Transfer-Encoding': 'chunked' });
    upstream.answer('/c', {}, { status: 204, body: '' });
    expect([upstream.kept('/a'), upstream.kept('/b'), upstream.kept('/c'), upstream.cache.bytes]).toEqual([
      null,
      null,
      null,
      0,
    ]);
  });

  it('G4 is never more than there is, and what is given is what the upstream answered last', () => {
    const capacity = 32 * KIB;
    const step = fc.record({
      path: fc.nat(30),
      size: fc.nat(5 * KIB),
      language: fc.constantFrom('de', 'en'),
      method: fc.constantFrom('GET', 'GET', 'GET', 'GET', 'PUT'),
      renewed: fc.boolean(),
      broken: fc.boolean(),
      passMs: fc.nat(20_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const kept = new KeptAnswers(capacity);
        kept.load();
        const said = new Map<string, { body: string; at: number }>();
        for (const [i, { path: number, size, language, method, renewed, broken, passMs }] of steps.entries()) {
          kept.now += passMs;
          const path = `/${number}`;
          const varies = number % 2 === 0;
          const name = varies ? `${path} ${language}` : path;
          const headers = { 'accept-language': language };
          const hit = kept.kept(path, headers);
          const known = said.get(name);
          if (hit !== null && (hit !== `200 ${known?.body}` || kept.now - (known?.at ?? 0) >= 60_000))
            throw new Error(`${path} gave ${hit.slice(0, 20)}`);
          if (hit === null || renewed || method === 'PUT') {
            const body = `${i}`.padEnd(size, 'x');
            const answer = {
              ...(varies && { Vary: 'accept-language' }),
              'content-length': String(body.length + (broken ? 1 : 0)),
            };
            const written = kept.answer(path, answer, { method, headers, body });
            if (method === 'PUT') for (const key of [path, `${path} de`, `${path} en`]) said.delete(key);
            else if (written && !broken) said.set(name, { body, at: kept.now });
          }
          if (kept.cache.bytes > capacity) throw new Error(`${kept.cache.bytes} bytes are in use`);
        }
      }),
      { numRuns: 300 },
    );
  });
});
