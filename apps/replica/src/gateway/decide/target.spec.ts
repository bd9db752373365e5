import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTarget, pathFrom } from './target.js';

function segmentsOf(text: string): string[] {
  const parsed = parseTarget(text);
  if (!parsed.ok) throw new Error(parsed.detail);
  return parsed.target.segments;
}

function refusal(text: string): string | null {
  const parsed = parseTarget(text);
  return parsed.ok ? null : parsed.detail;
}

describe('parseTarget', () => {
  it('takes a path apart, a trailing slash included, and leaves the query as it is', () => {
    expect(segmentsOf('/a/b')).toEqual(['a', 'b']);
    expect(segmentsOf('/')).toEqual(['']);
    expect(segmentsOf('/a/')).toEqual(['a', '']);
    expect(segmentsOf('/a/b/?/')).toEqual(['a', 'b', '']);
    expect(parseTarget('/a?x=/../%2f&%zz=?')).toMatchObject({
      ok: true,
      target: { path: '/a', query: '?x=/../%2f&%zz=?' },
    });
    expect(parseTarget('/a?')).toMatchObject({ ok: true, target: { query: '?' } });
  });

  it('decodes each segment byte by byte, once', () => {
    expect(segmentsOf('/%61%2d/caf%C3%A9/%252e%252e')).toEqual(['a-', 'caf\u00c3\u00a9', '%2e%2e']);
  });

  it.each([
    ['http://host/a', 'must be a path'],
    ['*', 'must be a path'],
    ['', 'must be a path'],
    ['host:80', 'must be a path'],
    ['/a b', 'percent-encoded'],
    ['/a\tb', 'percent-encoded'],
    ['/caf\u00e9', 'percent-encoded'],
    ['/a#b', 'percent-encoded'],
    ['/a?b#c', 'percent-encoded'],
    ['/a\0', 'percent-encoded'],
    ['/a\\b', 'backslash'],
    ['/%', 'hexadecimal'],
    ['/%g0', 'hexadecimal'],
    ['/a%2', 'hexadecimal'],
    ['/a%5Cb', 'encoded backslash'],
    ['/a%2F..%5cb', 'encoded backslash'],
    ['/a%2F../b', '. or .. segment'],
    ['/a%2f%2e%2e', '. or .. segment'],
    ['/.%2Fa', '. or .. segment'],
    ['/a%2f.%2Fb', '. or .. segment'],
    ['/a%00b', 'NUL'],
    ['/a/../b', '. or .. segment'],
    ['/..', '. or .. segment'],
    ['/a/.', '. or .. segment'],
    ['/./a', '. or .. segment'],
    ['/a/%2e%2E/b', '. or .. segment'],
    ['/a/.%2e', '. or .. segment'],
    ['/a/..;x=1/b', 'semicolon'],
    ['/admin;a=b/x', 'semicolon'],
    ['/admin%3ba/x', 'semicolon'],
    ['/a;', 'semicolon'],
    ['//', 'empty segment'],
    ['//a', 'empty segment'],
    ['/a//', 'empty segment'],
    ['/a//b?c', 'empty segment'],
    ['/%c0%ae%c0%ae/a', 'UTF-8'],
    ['/%e0%80%af', 'UTF-8'],
    ['/caf%e9', 'UTF-8'],
    ['/a%80', 'UTF-8'],
    ['/%ed%a0%80', 'UTF-8'],
    ['/%c3/%a9', 'UTF-8'],
  ])('refuses %j', (text, why) => {
    expect(refusal(text)).toContain(why);
  });

  it('takes an encoded slash for a part of its segment, and tells of it', () => {
    expect(parseTarget('/a%2Fb/c%2f%2F..d?%2F')).toMatchObject({
      ok: true,
      target: { segments: ['a/b', 'c//..d'], encodedSlash: true },
    });
    for (const text of ['/a?b=%2F', '/a%252Fb', '/a%20b'])
      expect(parseTarget(text)).toMatchObject({ ok: true, target: { encodedSlash: false } });
  });

  it('has nothing against dots that are no dot segment', () => {
    expect(segmentsOf('/.well-known/.../..a')).toEqual(['.well-known', '...', '..a']);
  });

  it('gives back the path from any segment on as it was sent', () => {
    const segment = fc.stringMatching(/^([A-Za-z0-9~_-]|%4[0-9]|%c3%[89ab][0-9a-f]){1,6}$/);
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 6 }), fc.nat(7), (raw, index) => {
        const parsed = parseTarget(`/${raw.join('/')}?q`);
        if (!parsed.ok) throw new Error(parsed.detail);
        expect(parsed.target.segments).toHaveLength(raw.length);
        const rest = raw.slice(index);
        expect(pathFrom(parsed.target, index)).toBe(rest.length === 0 ? '' : `/${rest.join('/')}`);
      }),
    );
  });
});
