import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytewise, cutAt } from '../../../testing/request-stream.js';
import { ChunkedDecoder } from './chunked-decoder.js';

interface Decoded {
  body: string;
  done: boolean;
  faulty: boolean;
  /** bytes that were read: what is after the body is not */
  read: number;
}

function decode(pieces: readonly Buffer[]): Decoded {
  const decoder = new ChunkedDecoder();
  let body = '';
  let read = 0;
  for (const piece of pieces) {
    let at = 0;
    while (at < piece.length && !decoder.done && !decoder.faulty) {
      const next = decoder.read(piece, at, piece.length);
      body += piece.toString('latin1', decoder.from, decoder.end);
      read += next - at;
      at = next;
    }
  }
  return { body, done: decoder.done, faulty: decoder.faulty, read };
}

const of = (text: string): Decoded => decode([Buffer.from(text, 'latin1')]);
const hex = (bytes: Uint8Array): string => bytes.length.toString(16);

describe('ChunkedDecoder', () => {
  it.each([
    '0\r\n\r\n',
    '5\r\nhello\r\n0\r\n\r\n',
    '0005\r\nhello\r\naB\r\n0123456789a0123456789a0123456789a0123456789a0123456789a0123456789a0123456789a0123456789a0123456789a0123456789a0123456789a0123456789a0123456789a0123456789a0123456789ab01234\r\n0\r\nX: y\r\n\r\nGET',
    '5\r\nhello\r\n00\r\nX:\r\nY: \xe9 \t\r\n\r\n',
    '5\r\nhell',
    '5\r\nhelloX\r\n',
    '5;a=b\r\nhello\r\n0\r\n\r\n',
    'x\r\n',
  ])('finds the same whole, cut at every byte, and byte by byte: %j', (text) => {
    const bytes = Buffer.from(text, 'latin1');
    const whole = decode([bytes]);
    for (let at = 0; at <= bytes.length; at++) expect([at, decode(cutAt(bytes, at))]).toEqual([at, whole]);
    expect(decode(bytewise(bytes))).toEqual(whole);
  });

  it('finds every body in whatever chunks and pieces, and reads not a byte of what follows', () => {
    const chunk = fc.uint8Array({ minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 8 }), fc.nat(2000), fc.nat(2000), (chunks, a, b) => {
        const framed = chunks.map((one) => Buffer.concat([Buffer.from(`${hex(one)}\r\n`), one, Buffer.from('\r\n')]));
        const bytes = Buffer.concat([...framed, Buffer.from('0\r\n\r\n')]);
        const after = Buffer.concat([bytes, Buffer.from('GET / HTTP/1.1\r\n')]);
        const [first, second] = [Math.min(a, b, after.length), Math.min(Math.max(a, b), after.length)];
        const pieces = [after.subarray(0, first), after.subarray(first, second), after.subarray(second)];
        const body = Buffer.concat(chunks).toString('latin1');
        expect(decode(pieces)).toEqual({ body, done: true, faulty: false, read: bytes.length });
      }),
    );
  });

  it.each([
    '\r\n',
    ' 5\r\nhello\r\n0\r\n\r\n',
    '5 \r\nhello\r\n0\r\n\r\n',
    '5\nhello\r\n0\r\n\r\n',
    '5\r\nhello\n0\r\n\r\n',
    '5\r\nhello0\r\n\r\n',
    '4\r\nhello\r\n0\r\n\r\n',
    '+5\r\nhello\r\n0\r\n\r\n',
    '-5\r\nhello\r\n0\r\n\r\n',
    '0x5\r\nhello\r\n0\r\n\r\n',
    '5;ext\r\nhello\r\n0\r\n\r\n',
    '000000005\r\nhello\r\n0\r\n\r\n',
    'fffffffff\r\n',
    '0\r\nX y: z\r\n\r\n',
    '0\r\n: z\r\n\r\n',
    '0\r\nX: a\0b\r\n\r\n',
    '0\r\nX: a\nY: b\r\n\r\n',
    '0\r\n\n',
    `0\r\nX: ${'y'.repeat(17_000)}\r\n\r\n`,
    `0\r\n${'X: y\r\n'.repeat(3000)}\r\n`,
  ])('refuses %j', (text) => {
    expect(of(text)).toMatchObject({ faulty: true, done: false });
  });
});
