import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytewise, cutAt, readRequests } from '../../../testing/request-stream.js';
import { RequestParser } from './request-parser.js';

const STREAMS: [string, string][] = [
  ['a GET', 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n'],
  [
    'fields of all kinds',
    'GET /a?b HTTP/1.1\r\nhOST:a\r\nX:  padded \t\r\nEmpty:\r\nBlank:   \r\nY: \xe9\ttab\r\n\r\n',
  ],
  ['an empty line before it', '\r\nOPTIONS /a HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a body by its length', 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel\r\n'],
  [
    'a body in chunks',
    'PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nhel\r\n0A\r\n0123456789\r\n0\r\nT: r\r\n\r\n',
  ],
  [
    'several requests',
    'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\nHost: b\r\n\r\nPOST /c HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n',
  ],
  ['a last request', 'GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n'],
  ['a request and garbage', 'GET /a HTTP/1.1\r\nHost: a\r\n\r\nwhat is this'],
  ['a bare LF', 'GET /a HTTP/1.1\r\nHost: a\nX: y\r\n\r\n'],
  ['a bare CR', 'GET /a HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n'],
  ['a folded field', 'GET /a HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n'],
  ['two lengths', 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx'],
  [
    'length and coding',
    'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['a bad chunk', 'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n'],
  ['a bad version', 'GET /a HTTP/2.0\r\nHost: a\r\n\r\n'],
  ['half a head', 'GET /a HTTP/1.1\r\nHost: a\r\nX: '],
  ['half a body', 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf'],
];

describe('G1 a stream of requests', () => {
  it.each(STREAMS)('is the same whole, cut at every byte, and byte by byte: %s', (_, text) => {
    const bytes = Buffer.from(text, 'latin1');
    const whole = readRequests([bytes]);
    for (let at = 0; at <= bytes.length; at++) expect([at, readRequests(cutAt(bytes, at))]).toEqual([at, whole]);
    expect(readRequests(bytewise(bytes))).toEqual(whole);
  });

  it('is the same in whatever pieces it comes', () => {
    const all = Buffer.from(
      STREAMS.slice(0, 6)
        .map(([, text]) => text)
        .join(''),
      'latin1',
    );
    const whole = readRequests([all]);
    expect(whole.requests).toHaveLength(8);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: all.length }), { maxLength: 12 }), (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), all.length];
        const pieces = places.slice(1).map((end, i) => all.subarray(places[i], end));
        expect(readRequests(pieces)).toEqual(whole);
      }),
      { numRuns: 500 },
    );
  });

  it('is read for what it says', () => {
    const [, , , length, chunks] = STREAMS.map(([, text]) => readRequests([Buffer.from(text, 'latin1')]));
    expect(readRequests([Buffer.from(STREAMS[1]?.[1] ?? '', 'latin1')])).toEqual({
      closed: false,
      refused: null,
      requests: [
        {
          method: 'GET',
          target: '/a?b',
          fields: ['hOST', 'a', 'X', 'padded', 'Empty', '', 'Blank', '', 'Y', '\xe9\ttab'],
          body: '',
          complete: true,
        },
      ],
    });
    expect(length?.requests[0]).toMatchObject({ body: 'hel\r\n', complete: true });
    expect(chunks?.requests[0]).toMatchObject({ body: 'hel0123456789', complete: true });
  });
});

describe('G4 a head', () => {
  const over = (text: string): string | null => readRequests([Buffer.from(text)]).refused;
  const head = (filler: string): string => `GET /a HTTP/1.1\r\nHost: a\r\nX: ${filler}\r\n\r\n`;
  const room = 16_384 - head('').length;

  it('may have 16 KiB, and not a byte more, in whatever pieces', () => {
    const fits = Buffer.from(head('y'.repeat(room)));
    const larger = Buffer.from(head('y'.repeat(room + 1)));
    for (const pieces of [[fits], cutAt(fits, 9000), bytewise(fits)])
      expect(readRequests(pieces).requests).toHaveLength(1);
    for (const pieces of [[larger], cutAt(larger, 9000), bytewise(larger)])
      expect(readRequests(pieces).refused).toMatch(/^431 /);
  });

  it('may have 100 fields, and not one more', () => {
    const fields = (count: number): string => `GET /a HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(count - 1)}\r\n`;
    expect(over(fields(100))).toBeNull();
    expect(over(fields(101))).toMatch(/^431 /);
  });

  it('without end is refused when it is too large, and not read on', () => {
    const line = Buffer.from('GET /a HTTP/1.1\r\nHost: a\r\n');
    const filler = Buffer.from(`X: ${'y'.repeat(8000)}\r\n`);
    expect(readRequests([line, filler, filler, filler]).refused).toMatch(/^431 /);
    expect(readRequests([Buffer.from(`GET /${'a'.repeat(20_000)}`)]).refused).toMatch(/^414 /);
  });
});

describe('RequestParser', () => {
  const parsed = (text: string): RequestParser => {
    const parser = new RequestParser('192.0.2.7', 'http');
    const bytes = Buffer.from(text, 'latin1');
    expect(parser.feed(bytes, 0, bytes.length)).toBe(bytes.length);
    parser.finish();
    return parser;
  };

  it('gives the values of a field in whatever case it was sent, in their order', () => {
    const head = parsed('GET /a HTTP/1.1\r\nHost: a\r\nX-Y: 1\r\nx-y: 2\r\nX_Y: 3\r\n\r\n');
    expect([head.values('x-y'), head.values('x_y'), head.values('x-z')]).toEqual([['1', '2'], ['3'], []]);
  });

  it('writes the lines that are kept anew, whatever was between name and value', () => {
    const head = parsed('GET /a HTTP/1.1\r\nHost: a\r\nA: 1\r\nB:2\r\nC:\t3 \r\nD: 4\r\nE: \r\nF: 6\r\n\r\n');
    head.drop('host');
    head.drop('d');
    expect(head.keptLines()).toBe('A: 1\r\nB: 2\r\nC: 3\r\nE: \r\nF: 6\r\n');
  });

  it('drops what Connection names', () => {
    const head = parsed(
      'GET /a HTTP/1.1\r\nHost: a\r\nConnection: close, x-A ,\r\nX-a: 1\r\nConnection: X-B\r\nX-B: 2\r\nX-C: 3\r\n\r\n',
    );
    head.dropNamedByConnection();
    head.drop('connection');
    expect(head.keptLines()).toBe('Host: a\r\nX-C: 3\r\n');
  });

  it('begins anew after a reset', () => {
    const head = parsed('GET /a HTTP/1.1\r\nHost: a\r\nA: 1\r\n\r\n');
    head.drop('host');
    head.reset();
    const next = Buffer.from('POST /b HTTP/1.0\r\nHost: b\r\n\r\n');
    expect(head.feed(next, 0, next.length)).toBe(next.length);
    head.finish();
    expect([head.method, head.target, head.old, head.keptLines()]).toEqual(['POST', '/b', true, 'Host: b\r\n']);
  });
});
