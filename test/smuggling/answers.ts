/** What an upstream sends for an answer, and all that may come of it. */
export interface AnswerCase {
  name: string;
  /** one character per byte */
  bytes: string;
  /** the upstream closes behind it */
  ends: boolean;
  method: 'GET' | 'HEAD';
  /** what the client gets; null: a refusal, or an answer that is seen to be broken, by when the fault was found */
  gets: { status: number; body: string } | null;
  /** the connection to the upstream is as good as before */
  kept: boolean;
  /** its last part is no answer to anything; where it comes later than the rest, nobody can tell from the next answer */
  atOnce: boolean;
}

const FORGED = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged';
const ok = (lines: string[], body = ''): string =>
  `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n${body}`;
const chunks = (body: string): string => ok(['Transfer-Encoding: chunked'], body);

const refused = (name: string, bytes: string, more: Partial<AnswerCase> = {}): AnswerCase => ({
  name,
  bytes,
  ends: false,
  method: 'GET',
  gets: null,
  kept: false,
  atOnce: false,
  ...more,
});
const passed = (name: string, bytes: string, body: string, more: Partial<AnswerCase> = {}): AnswerCase =>
  refused(name, bytes, { gets: { status: 200, body }, kept: true, ...more });
/** The answer is good, and what stands behind it is not. */
const last = (name: string, bytes: string, body: string, more: Partial<AnswerCase> = {}): AnswerCase =>
  passed(name, bytes, body, { kept: false, atOnce: true, ...more });

const framing: AnswerCase[] = [
  ...['3, 3', '3,3', '+3', '-3', '0x3', '3 3', '3;', '', 'x', '1e1', '3.0', '9999999999999999', '\xa03'].map((text) =>
    refused(`Content-Length: ${JSON.stringify(text)}`, ok([`Content-Length: ${text}`], `abc${FORGED}`)),
  ),
  refused('two lengths that agree', ok(['Content-Length: 3', 'Content-Length: 3'], 'abc')),
  refused('two lengths that do not', ok(['Content-Length: 3', 'Content-Length: 50'], `abc${FORGED}`)),
  refused('length and chunks', ok(['Content-Length: 3', 'Transfer-Encoding: chunked'], `0\r\n\r\n${FORGED}`)),
  refused('chunks and length', ok(['Transfer-Encoding: chunked', 'Content-Length: 3'], `0\r\n\r\n${FORGED}`)),
  ...[
    'gzip, chunked',
    'chunked, chunked',
    'chunked, gzip',
    'xchunked',
    'identity',
    'gzip',
    '',
    '"chunked"',
    'chunked;',
    '\x0bchunked',
  ].map((coding) =>
    refused(`Transfer-Encoding: ${JSON.stringify(coding)}`, ok([`Transfer-Encoding: ${coding}`], `0\r\n\r\n${FORGED}`)),
  ),
  refused('two codings', ok(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], '0\r\n\r\n')),
  refused('chunks in HTTP/1.0', `HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${FORGED}`),
  passed('a length with zeros in front', ok(['Content-Length: 003'], 'abc'), 'abc'),
  passed('a length that Connection names', ok(['Connection: content-length', 'Content-Length: 3'], 'abc'), 'abc'),
  passed('a coding in other letters', ok(['transfer-encoding: CHUNKED'], '3\r\nabc\r\n0\r\n\r\n'), 'abc'),
];

const lines: AnswerCase[] = [
  ...[
    'HTTP/2.0 200 OK',
    'HTTP/1.2 200 OK',
    'HTTP/0.9 200 OK',
    'ICY 200 OK',
    'http/1.1 200 OK',
    'HTTP/1.1  200 OK',
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
  ].map((line) => refused(line, `${line}\r\nContent-Length: 3\r\n\r\nabc`)),
  ...[
    'HTTP/1.1 +20 OK',
    'HTTP/1.1 2x0 OK',
    'HTTP/1.1 099 OK',
    'HTTP/1.1 000 OK',
    'HTTP/1.1 600 OK',
    'HTTP/1.1 999 OK',
    'HTTP/1.1 200\tOK',
    'HTTP/1.1\t200 OK',
    'HTTP/1.1',
    '',
  ].map((line) => refused(JSON.stringify(line), `${line}\r\nContent-Length: 3\r\n\r\nabc`)),
  ...[
    'HTTP/1.1 200 O\0K',
    'HTTP/1.1 200 O\rK',
    'HTTP/1.1 200 OK\nX: y',
    'HTTP/1.1 200\nX: y',
    ' HTTP/1.1 200 OK',
    '\r\nHTTP/1.1 200 OK',
    'GET / HTTP/1.1',
  ].map((line) => refused(JSON.stringify(line), `${line}\r\nContent-Length: 3\r\n\r\nabc`)),
  ...[
    'X: y\r\n z',
    'X : y',
    ' X: y',
    'X: a\nY: b',
    'X: a\rY: b',
    'X: a\0b',
    'X',
    ': y',
    'X y: z',
    'X\xe9: y',
    'X: a\x7f',
    'X: y\r',
  ].map((line) => refused(JSON.stringify(line), ok(['Content-Length: 3', line], 'abc'))),
  refused('a bare LF for the empty line', `HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\n${FORGED}`),
  refused('a head without an end', ok(Array.from({ length: 4000 }, () => 'X: y'))),
  refused('a field without an end', ok([`X: ${'y'.repeat(100_000)}`])),
  refused('half a head', 'HTTP/1.1 200 OK\r\nContent-Le', { ends: true }),
  refused('nothing', '', { ends: true }),
  refused('garbage', '\x16\x03\x01\x02\x00\x01\x00', { ends: true }),
  passed('no reason', 'HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc', 'abc'),
  passed('an empty reason', 'HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nabc', 'abc'),
];

const bodies: AnswerCase[] = [
  ...['x', '0x3', '+3', ' 3', '3 ', '3;x=y', '', '000000003', '100000003', '3\n', '3\r', '-1'].map((size) =>
    refused(`a chunk size of ${JSON.stringify(size)}`, chunks(`${size}\r\nabc\r\n0\r\n\r\n${FORGED}`)),
  ),
  refused('a chunk that is longer than it says', chunks(`3\r\nabcd\r\n0\r\n\r\n${FORGED}`)),
  refused('a chunk that a bare LF ends', chunks(`3\r\nabc\n0\r\n\r\n${FORGED}`)),
  refused('trailers that are none', chunks(`3\r\nabc\r\n0\r\nX y\r\n\r\n${FORGED}`)),
  refused('trailers that frame a message', chunks(`3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n${FORGED}`)),
  refused('trailers without an end', chunks(`3\r\nabc\r\n0\r\n${'X: y\r\n'.repeat(4000)}`)),
  refused('a body that ends early', ok(['Content-Length: 30'], 'abc'), { ends: true }),
  refused('chunks that end early', chunks('3\r\nabc\r\n'), { ends: true }),
  refused('chunks that end before the last empty line', chunks('3\r\nabc\r\n0\r\n'), { ends: true }),
  passed('trailers', chunks('3\r\nabc\r\n0\r\nX: y\r\nDate: z\r\n\r\n'), 'abc'),
  passed('an answer in a body', ok([`Content-Length: ${FORGED.length}`], FORGED), FORGED),
  passed('an answer in a chunk', chunks(`${FORGED.length.toString(16)}\r\n${FORGED}\r\n0\r\n\r\n`), FORGED),
  passed('a body that the connection ends', ok([], 'abc'), 'abc', { ends: true, kept: false }),
  passed('a body of HTTP/1.0 that the connection ends', 'HTTP/1.0 200 OK\r\n\r\nabc', 'abc', {
    ends: true,
    kept: false,
  }),
  passed('HTTP/1.0 that keeps', 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc', 'abc'),
  passed('HTTP/1.0 that does not keep', 'HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc', 'abc', { kept: false }),
  passed(
    'close and keep-alive',
    ok(['Connection: keep-alive', 'Connection: x, close', 'Content-Length: 3'], 'abc'),
    'abc',
    { kept: false },
  ),
];

const behind: AnswerCase[] = [
  last('an answer behind a length', ok(['Content-Length: 3'], `abc${FORGED}`), 'abc'),
  last('an answer behind a length of zero', ok(['Content-Length: 0'], FORGED), ''),
  last('an answer behind chunks', chunks(`3\r\nabc\r\n0\r\n\r\n${FORGED}`), 'abc'),
  last('an empty line behind a length', ok(['Content-Length: 3'], 'abc\r\n'), 'abc'),
  last('half a head behind a length', ok(['Content-Length: 3'], 'abcHTTP/1.1 200 OK\r\nX'), 'abc'),
  last('a body of HEAD', ok([`Content-Length: ${FORGED.length}`], FORGED), '', { method: 'HEAD' }),
  last('chunks of HEAD', chunks(`${FORGED.length.toString(16)}\r\n${FORGED}\r\n0\r\n\r\n`), '', { method: 'HEAD' }),
  last('a body of 204', `HTTP/1.1 204 No Content\r\n\r\n${FORGED}`, '', { gets: { status: 204, body: '' } }),
  last('a body of 304', `HTTP/1.1 304 Not Modified\r\nContent-Length: ${FORGED.length}\r\n\r\n${FORGED}`, '', {
    gets: { status: 304, body: '' },
  }),
  last('chunks of 304', `HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`, '', {
    gets: { status: 304, body: '' },
  }),
  last('a length that 204 announces', `HTTP/1.1 204 No Content\r\nContent-Length: ${FORGED.length}\r\n\r\n`, '', {
    gets: { status: 204, body: '' },
  }),
  last('chunks that 204 announces', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n', '', {
    gets: { status: 204, body: '' },
  }),
  passed('204', 'HTTP/1.1 204 No Content\r\n\r\n', '', { gets: { status: 204, body: '' } }),
  passed('304 with a length', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n', '', {
    gets: { status: 304, body: '' },
  }),
  passed('HEAD with a length', ok(['Content-Length: 100']), '', { method: 'HEAD' }),
  passed('HEAD with chunks', ok(['Transfer-Encoding: chunked']), '', { method: 'HEAD' }),
  passed('HEAD without either', ok([]), '', { method: 'HEAD' }),
];

const GOOD = ok(['Content-Length: 3'], 'abc');
const interim: AnswerCase[] = [
  passed('100 that nobody asked for', `HTTP/1.1 100 Continue\r\n\r\n${GOOD}`, 'abc'),
  passed('sixteen hints', `${'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'.repeat(16)}${GOOD}`, 'abc'),
  refused('hints without end', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(100) + GOOD),
  refused(
    'an interim answer with a body',
    `HTTP/1.1 103 Early Hints\r\nContent-Length: ${FORGED.length}\r\n\r\n${FORGED}`,
  ),
  refused(
    'an interim answer with chunks',
    `HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${FORGED}`,
  ),
  refused(
    'a switch of protocols',
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n${FORGED}`,
  ),
  refused('a switch to nothing', `HTTP/1.1 101 Switching Protocols\r\n\r\n${FORGED}`),
  refused('hints and no answer', 'HTTP/1.1 103 Early Hints\r\n\r\n', { ends: true }),
];

export const ANSWERS: readonly { name: string; cases: AnswerCase[] }[] = [
  { name: 'lengths and codings', cases: framing },
  { name: 'lines', cases: lines },
  { name: 'bodies', cases: bodies },
  { name: 'what stands behind', cases: behind },
  { name: 'interim answers', cases: interim },
];
