import { type IncomingMessage, request } from 'node:http';
import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkedDecoder } from '../../apps/replica/src/gateway/engine/wire/chunked-decoder.js';
import { MORE } from '../../apps/replica/src/gateway/engine/wire/head-parser.js';
import {
  BY_CHUNKS,
  BY_CLOSE,
  BY_LENGTH,
  ResponseParser,
} from '../../apps/replica/src/gateway/engine/wire/response-parser.js';
import { cutAt } from '../../apps/replica/src/testing/request-stream.js';
import { ANSWERS } from '../smuggling/answers.js';
import { mutated } from './mutations.js';

/*
 * Answers of upstreams for the gateway's parser and for node's own (llhttp, strict): what both take for an answer has to be
 * the same answer. FUZZ_RUNS makes the runs more.
 */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 4000);

interface ReadAnswer {
  status: number;
  /** names and values in turn */
  fields: string[];
  /** one character per byte */
  body: string;
}

/** The final answer in pieces of a stream that ends behind them; null: there is none, or it is not whole. */
function readAnswer(pieces: readonly Buffer[], toHead: boolean): ReadAnswer | null {
  const head = new ResponseParser();
  const decoder = new ChunkedDecoder();
  let answer: ReadAnswer | null = null;
  let left = 0;
  for (const piece of pieces) {
    let at = 0;
    while (at < piece.length) {
      if (!answer) {
        at = head.feed(piece, at, piece.length);
        if (at === MORE) break;
        if (head.fault ?? head.conclude(toHead)) return null;
        // to node the HTTP of the connection ends with these
        if (head.status === 101 || (head.status < 200 && !head.keepsAlive)) return null;
        if (head.status >= 200) answer = { status: head.status, fields: head.list(), body: '' };
        else head.reset();
        left = head.length;
      } else if (head.framing === BY_CHUNKS && !decoder.done) {
        at = decoder.read(piece, at, piece.length);
        if (decoder.faulty) return null;
        answer.body += piece.toString('latin1', decoder.from, decoder.end);
      } else if (head.framing === BY_CLOSE || (head.framing === BY_LENGTH && left > 0)) {
        const end = head.framing === BY_CLOSE ? piece.length : Math.min(piece.length, at + left);
        answer.body += piece.toString('latin1', at, end);
        left -= end - at;
        at = end;
      } else break;
    }
  }
  const whole = head.framing === BY_CHUNKS ? decoder.done : head.framing !== BY_LENGTH || left === 0;
  return whole ? answer : null;
}

/** A connection on which these bytes come, whatever is written to it. */
class Wire extends Duplex {
  override _read(): void {
    // what there is was pushed
  }

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}

/** The same by node's parser. */
async function oracle(bytes: Buffer, toHead: boolean): Promise<ReadAnswer | null> {
  const wire = new Wire();
  let message: IncomingMessage | null = null;
  let body = '';
  const asked = request({ method: toHead ? 'HEAD' : 'GET', maxHeaderSize: 1_000_000, createConnection: () => wire });
  asked.maxHeadersCount = 0;
  asked.on('error', () => undefined);
  asked.on('upgrade', () => undefined);
  asked.on('response', (response) => {
    message = response;
    response.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')));
    response.on('error', () => undefined);
  });
  asked.end();
  wire.push(bytes);
  wire.push(null);
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  asked.destroy();
  wire.destroy();
  const got = message as IncomingMessage | null;
  return got?.complete ? { status: got.statusCode ?? 0, fields: got.rawHeaders, body } : null;
}

const EOL = fc.oneof({ weight: 60, arbitrary: fc.constant('\r\n') }, fc.constantFrom('\n', '\r', '\r\r\n', '\r\n '));
const line = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.1 404 Not Found', 'HTTP/1.0 200 OK') },
  fc.constantFrom(
    'HTTP/1.1 204 No Content',
    'HTTP/1.1 304 Not Modified',
    'HTTP/1.1 200',
    'HTTP/1.1 200 ',
    'HTTP/1.1 500 \xe9',
  ),
  fc.constantFrom(
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.2 200 OK',
    'HTTP/2.0 200 OK',
    'ICY 200 OK',
    'HTTP/1.1  200 OK',
    '',
  ),
  fc.constantFrom('HTTP/1.1 100 Continue', 'HTTP/1.1 103 Early Hints'),
);
const field = fc.constantFrom(
  'X: y',
  'Content-Length: 5',
  'Content-Length: 05',
  'Content-Length: 5 ',
  'Content-Length: +5',
  'Content-Length: 5, 5',
  'Content-Length:',
  'Content-Length : 5',
  'Content-Length: 0',
  'Transfer-Encoding: chunked',
  'transfer-encoding: CHUNKED',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: chunked, gzip',
  'Transfer-Encoding: identity',
  'Transfer-Encoding:',
  'Connection: close',
  'Connection: keep-alive',
  'Connection: x, content-length',
  'Keep-Alive: timeout=5',
  'Date: now',
  'X : y',
  ' X: y',
  'X',
  ': y',
  'X:',
  'X: \xe9\t',
  'X: a\0b',
  'X\xe9: y',
  'X: a\rb',
  'Upgrade: h2c',
  'Trailer: X',
);
const body = fc.constantFrom(
  '',
  'hello',
  'hello, world',
  '5\r\nhello\r\n0\r\n\r\n',
  '5\r\nhello\r\n0\r\nX: y\r\n\r\n',
  '05\r\nhello\r\n000\r\n\r\n',
  '5;x\r\nhello\r\n0\r\n\r\n',
  '5 \r\nhello\r\n0\r\n\r\n',
  '5\nhello\r\n0\r\n\r\n',
  '0x5\r\nhello\r\n0\r\n\r\n',
  '5\r\nhelloXX0\r\n\r\n',
  '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n',
  '5\r\nhello\r\n0\r\n',
  '5\r\nhel',
  'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
);
const head = fc
  .tuple(line, EOL, fc.array(fc.tuple(field, EOL), { maxLength: 4 }), EOL)
  .map(([first, end, fields, last]) => first + end + fields.map(([text, eol]) => text + eol).join('') + last);
const answer = fc
  .tuple(fc.array(fc.constant('HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n'), { maxLength: 2 }), head, body)
  .map((parts) => Buffer.from(parts.flat().join(''), 'latin1'));
const corpus = ANSWERS.flatMap(({ cases }) => cases.map(({ bytes }) => Buffer.from(bytes, 'latin1')));
const short = corpus.filter(({ length }) => length > 0 && length < 1000);

async function compare(bytes: Buffer, toHead: boolean): Promise<void> {
  const own = readAnswer([bytes], toHead);
  if (own) expect(await oracle(bytes, toHead)).toEqual(own);
}

describe('G3 of any answer', () => {
  it('node and the gateway find the same in it, or the gateway refused', async () => {
    await fc.assert(fc.asyncProperty(answer, fc.boolean(), compare), { numRuns: RUNS });
  });

  it('node and the gateway find the same in it when bytes were changed, or the gateway refused', async () => {
    const begun = fc.sample(answer, { numRuns: 500, seed: 1 }).concat(short);
    await fc.assert(fc.asyncProperty(mutated(begun), fc.boolean(), compare), { numRuns: RUNS });
  });

  it('node and the gateway find the same in all of the corpus, or the gateway refused', async () => {
    for (const bytes of corpus) for (const toHead of [false, true]) await compare(bytes, toHead);
  });

  it('the gateway finds the same in it, however it is cut', () => {
    const property = fc.property(
      fc.oneof(answer, fc.constantFrom(...corpus)),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (bytes, share) => {
        expect(readAnswer(cutAt(bytes, Math.floor(share * bytes.length)), false)).toEqual(readAnswer([bytes], false));
      },
    );
    fc.assert(property, { numRuns: RUNS });
  });
});
