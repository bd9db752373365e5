import { createServer, type IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutAt, readRequests, type ReadRequest } from '../../apps/replica/src/testing/request-stream.js';
import { PROBE } from '../smuggling/case.js';
import { CORPUS } from '../smuggling/corpus.js';
import { mutated } from './mutations.js';

/*
 * Streams of requests for the gateway's parser and for node's own (llhttp, strict): what both take for a request has to be
 * the same request. FUZZ_RUNS makes the runs more; a failure prints the seed that repeats it.
 */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 4000);

const server = createServer({ insecureHTTPParser: false, requireHostHeader: false, maxHeaderSize: 1_000_000 });
server.maxHeadersCount = 0;

/** A connection that takes what is written to it, and of which the other end is this. */
class Wire extends Duplex {
  override _read(): void {
    // what there is was pushed
  }

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}

/** What node's parser finds in a stream, up to its first error. */
async function oracle(bytes: Buffer): Promise<ReadRequest[]> {
  const requests: ReadRequest[] = [];
  const wire = new Wire();
  const onRequest = (message: IncomingMessage): void => {
    const { method = '', url = '', rawHeaders } = message;
    const request: ReadRequest = { method, target: url, fields: rawHeaders, body: '', complete: false };
    requests.push(request);
    message.on('data', (chunk: Buffer) => (request.body += chunk.toString('latin1')));
    message.on('end', () => (request.complete = true));
    message.on('error', () => undefined);
  };
  server.removeAllListeners('request').on('request', onRequest);
  server.removeAllListeners('checkContinue').on('checkContinue', onRequest);
  server.removeAllListeners('connect').on('connect', () => undefined);
  server.removeAllListeners('clientError').on('clientError', () => undefined);
  server.emit('connection', wire);
  wire.push(bytes);
  // the parser runs when the stream hands its bytes over; bodies and their ends follow in the turns after it
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
  wire.destroy();
  return requests;
}

const EOL = fc.oneof({ weight: 60, arbitrary: fc.constant('\r\n') }, fc.constantFrom('\n', '\r', '\r\r\n', '\r\n '));
const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'get', 'BREW', 'CONNECT', 'QUERY');
const target = fc.constantFrom('/', '/a', '/a?b=c', '*', 'http://a/', '/\u00e9', '/a b', '//', '/%2e', '/a#b', '');
const version = fc.oneof(
  { weight: 20, arbitrary: fc.constant('HTTP/1.1') },
  fc.constantFrom('HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'http/1.1', 'HTTP/1.1 ', '', 'HTTP/0.9', 'HTTP/1.1.1', 'HTTP/1'),
);
// No `Connection: Upgrade`: what follows an upgrade is no HTTP for node, whether it was agreed to or not.
const field = fc.oneof(
  fc.constantFrom(
    'Host: a',
    'X: y',
    'Content-Length: 5',
    'content-length:5',
    'Content-Length: 05',
    'Content-Length: +5',
    'Content-Length: 5, 5',
    'Content-Length:',
    'Content-Length: 5 5',
    'Content-Length : 5',
    'Content_Length: 5',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding:\tchunked ',
    'transfer-encoding: CHUNKED',
    'Transfer-Encoding: chunked, chunked',
    'Transfer-Encoding: gzip, chunked',
    'Transfer-Encoding: chunked, gzip',
    'Transfer-Encoding: xchunked',
    'Transfer-Encoding: "chunked"',
    'Transfer-Encoding : chunked',
    'Transfer-Encoding\u000b: chunked',
    ' Transfer-Encoding: chunked',
    'Transfer-Encoding:\u000bchunked',
    'Transfer-Encoding: chunked\u0000',
    'Connection: close',
    'Upgrade: websocket',
    'Upgrade: h2c',
    'Expect: 100-continue',
    'Proxy-Connection: close',
    'Connection: keep-alive',
    ': y',
    'X',
    'X:',
    'X: \u00e9\t\u007f',
    'X: a\rb',
    'X\u00e9: y',
    'Content-Length: 5\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
    'Transfer-Encoding: chunked;',
    'Transfer-Encoding: \u00a0chunked',
    'Transfer-Encoding:',
    'Content-Length: 0x5',
    'Content-Length: 5_',
    'Content-Length: 18446744073709551621',
    'Content-Length:\t5\u00a0',
    'Connection: content-length',
    'Connection: keep-alive, transfer-encoding, close',
    'Host: b',
    'X : y',
    'X\t: y',
    '\tX: y',
    'X: a\nY: b',
    'X:\r\n y',
    'X=y',
    'Expect: 100-continue, x',
  ),
);
const chunks = fc.constantFrom(
  '5\r\nhello\r\n0\r\n\r\n',
  '05\r\nhello\r\n0\r\nT: u\r\n\r\n',
  '5;x=y\r\nhello\r\n0\r\n\r\n',
  '5 \r\nhello\r\n0\r\n\r\n',
  '5\nhello\r\n0\r\n\r\n',
  '0x5\r\nhello\r\n0\r\n\r\n',
  '5\r\nhelloX\r\n0\r\n\r\n',
  '5\r\nhello\r\n0\r\n',
  '5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n',
  '100000000000000000005\r\nhello\r\n0\r\n\r\n',
  '100000005\r\nhello\r\n0\r\n\r\n',
  '\r\n5\r\nhello\r\n0\r\n\r\n',
  '5\r\nhello\r\n\r\n\r\n',
  '5\r\nhello\r\n0;x\r\n\r\n',
  '5;\nhello\r\n0\r\n\r\n',
  '5_\r\nhello\r\n0\r\n\r\n',
  '5\r\nhello\n0\r\n\r\n',
  '5\r\nhelloXX0\r\n\r\n',
  '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n',
  '5\r\nhello\r\n0\r\nX y\r\n\r\n',
  '5\r\nhello\r\n0\r\n X: y\r\n\r\n',
  '5\r\nhello\r\n0\r\nX: y\n\r\n',
  '00000000005\r\nhello\r\n0\r\n\r\n',
);
const body = fc.oneof(fc.constantFrom('', '', 'hello', 'hello, world', '\r\n'), chunks);
const request = fc
  .tuple(
    fc.constantFrom('', '', '', '', '\r\n', '\n', ' ', '\r\n\r\n', '\r', '\0'),
    method,
    target,
    version,
    fc.array(fc.tuple(field, EOL), { maxLength: 5 }),
    EOL,
    EOL,
    body,
  )
  .map(([before, verb, path, protocol, fields, lineEnd, headEnd, rest]) => {
    const lines = fields.map(([text, end]) => text + end).join('');
    return `${before}${verb} ${path} ${protocol}${lineEnd}Host: a\r\n${lines}${headEnd}${rest}`;
  });
const plain = fc.constantFrom(
  'GET /a HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
  'POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
);
const stream = fc
  .array(fc.oneof({ weight: 2, arbitrary: plain }, request), { minLength: 1, maxLength: 4 })
  .map((parts) => Buffer.from(parts.join(''), 'latin1'));

/** Both in one form: of a request that has not ended, the part of the body that is there depends on pieces, not on parsers. */
const whole = (requests: ReadRequest[]): ReadRequest[] => requests.filter(({ complete }) => complete);

/** Every stream of the permanent corpus, the next request behind it. */
const corpus = CORPUS.flatMap(({ cases }) => cases.map(({ bytes }) => Buffer.from(bytes + PROBE, 'latin1')));
/** What node takes for an upgrade ends the HTTP on a connection for it, agreed to or not. */
const comparable = corpus.filter((bytes) => !/upgrade/i.test(bytes.toString('latin1')));

async function compare(bytes: Buffer): Promise<void> {
  const own = readRequests([bytes]);
  const theirs = await oracle(bytes);
  const mine = whole(own.requests);
  expect(mine).toEqual(whole(theirs).slice(0, mine.length));
  // what was begun was begun by both, and nothing was passed over that the other one took for a request
  if (own.refused === null && !own.closed) expect(whole(theirs)).toHaveLength(mine.length);
}

describe('G1 of any stream of requests', () => {
  it('node and the gateway find the same requests in it, or the gateway refused', async () => {
    await fc.assert(fc.asyncProperty(stream, compare), { numRuns: RUNS });
  });

  it('node and the gateway find the same requests in it when bytes were changed, or the gateway refused', async () => {
    await fc.assert(fc.asyncProperty(mutated(fc.sample(stream, { numRuns: 500, seed: 1 })), compare), {
      numRuns: RUNS,
    });
  });

  it('node and the gateway find the same requests in all of the corpus, or the gateway refused', async () => {
    for (const bytes of comparable) await compare(bytes);
  });

  it('node and the gateway find the same requests in the corpus when bytes were changed, or the gateway refused', async () => {
    await fc.assert(fc.asyncProperty(mutated(comparable.filter(({ length }) => length < 1000)), compare), {
      numRuns: RUNS,
    });
  });

  it('the gateway finds the same requests in it, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.oneof(stream, fc.constantFrom(...corpus)),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (bytes, share) => {
          expect(readRequests(cutAt(bytes, Math.floor(share * bytes.length)))).toEqual(readRequests([bytes]));
        },
      ),
      { numRuns: RUNS },
    );
  });
});
