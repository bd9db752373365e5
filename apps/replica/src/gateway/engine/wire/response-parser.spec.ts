import { describe, expect, it } from 'vitest';
import { bytewise, cutAt } from '../../../testing/request-stream.js';
import { FAULTY, MORE } from './head-parser.js';
import { BY_CHUNKS, BY_CLOSE, BY_LENGTH, NO_BODY, ResponseParser } from './response-parser.js';

/** What a head says, or what is wrong with it; null: it is not whole. */
function read(pieces: readonly Buffer[], toHead = false): object | string | null {
  const parser = new ResponseParser();
  for (const piece of pieces) {
    const end = parser.feed(piece, 0, piece.length);
    if (end === MORE) continue;
    const fault = end === FAULTY ? parser.fault : parser.conclude(toHead);
    if (fault) return fault.detail;
    const { status, framing, length, keepsAlive, keepAliveSeconds, hasDate } = parser;
    return { status, framing, length, keepsAlive, keepAliveSeconds, hasDate, fields: parser.list() };
  }
  return null;
}

const of = (text: string, toHead = false) => read([Buffer.from(text, 'latin1')], toHead);

describe('G3 the head of an answer', () => {
  it.each([
    'HTTP/1.1 200 OK\r\nContent-Length: 12\r\nDate: x\r\nKeep-Alive: timeout=5, max=3\r\n\r\n',
    'HTTP/1.0 404 \r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 204\r\nX: \xe9\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    'HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n',
    'HTTP/1.1 20 OK\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Le',
    'ICY 200 OK\r\n\r\n',
  ])('is the same whole, cut at every byte, and byte by byte: %j', (text) => {
    const bytes = Buffer.from(text, 'latin1');
    const whole = read([bytes]);
    for (let at = 0; at <= bytes.length; at++) expect([at, read(cutAt(bytes, at))]).toEqual([at, whole]);
    expect(read(bytewise(bytes))).toEqual(whole);
  });

  it('says how its body ends', () => {
    const framing = (fields: string, status = '200 OK', toHead = false): unknown =>
      (of(`HTTP/1.1 ${status}\r\n${fields}\r\n`, toHead) as { framing: number }).framing;
    expect(framing('Content-Length: 3\r\n')).toBe(BY_LENGTH);
    expect(framing('Content-Length: 0\r\n')).toBe(NO_BODY);
    expect(framing('Transfer-Encoding: Chunked\r\n')).toBe(BY_CHUNKS);
    expect(framing('')).toBe(BY_CLOSE);
    expect(framing('Content-Length: 3\r\n', '200 OK', true)).toBe(NO_BODY);
    expect(framing('Transfer-Encoding: chunked\r\n', '200 OK', true)).toBe(NO_BODY);
    for (const status of ['204 No', '304 No']) expect(framing('Content-Length: 3\r\n', status)).toBe(NO_BODY);
    expect(framing('', '103 Hints')).toBe(NO_BODY);
  });

  it('says whether the connection can be used again', () => {
    const keeps = (version: string, fields: string): unknown =>
      (of(`HTTP/${version} 200 OK\r\nContent-Length: 0\r\n${fields}\r\n`) as { keepsAlive: boolean }).keepsAlive;
    expect(keeps('1.1', '')).toBe(true);
    expect(keeps('1.1', 'Connection: x, Close\r\n')).toBe(false);
    expect(keeps('1.1', 'Connection: close\r\nConnection: keep-alive\r\n')).toBe(false);
    expect(keeps('1.0', '')).toBe(false);
    expect(keeps('1.0', 'Connection: keep-alive\r\n')).toBe(true);
    expect(of('HTTP/1.1 200 OK\r\n\r\n')).toMatchObject({ keepsAlive: false });
  });

  it.each([
    ['a sign', 'Content-Length: +3\r\n'],
    ['a list of lengths', 'Content-Length: 3, 3\r\n'],
    ['two lengths', 'Content-Length: 3\r\nContent-Length: 3\r\n'],
    ['length and chunks', 'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n'],
    ['two codings', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'],
    ['gzip', 'Transfer-Encoding: gzip, chunked\r\n'],
    ['more than 100 fields', 'X: y\r\n'.repeat(101)],
    ['more than 16 KiB', `X: ${'y'.repeat(17_000)}\r\n`],
  ])('is refused with %s', (_, fields) => {
    expect(of(`HTTP/1.1 200 OK\r\n${fields}\r\n`)).toEqual(expect.any(String));
  });

  it.each([
    'HTTP/1.1 99 No',
    'HTTP/1.1 099 No',
    'HTTP/1.1 600 No',
    'HTTP/1.1 2000 No',
    'HTTP/2.0 200 OK',
    'HTTP/1.1  200 OK',
    'http/1.1 200 OK',
  ])('is refused with the line %j', (line) => {
    expect(of(`${line}\r\nContent-Length: 0\r\n\r\n`)).toEqual(expect.any(String));
  });

  it('is refused in HTTP/1.0 with chunks', () => {
    expect(of('HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')).toEqual(expect.any(String));
  });
});
