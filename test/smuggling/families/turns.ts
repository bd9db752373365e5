import {
  A,
  broken,
  chunked,
  type Case,
  type Family,
  get,
  head,
  post,
  posted,
  refused,
  served,
  SMUGGLED,
  turnedDown,
} from '../case.js';

const version = (text: string, status: number): Case =>
  refused(JSON.stringify(text), `GET /weather/v1/a${text}\r\nHost: a\r\n\r\n`, status);

export const versions: Family = {
  name: 'versions',
  cases: [
    version('', 400), // HTTP/0.9
    version(' ', 400),
    ...[' HTTP/0.9', ' HTTP/2.0', ' HTTP/1.2', ' HTTP/1.9', ' HTTP/9.1', ' HTTP/0.1'].map((text) => version(text, 505)),
    ...[
      ' HTTP/1',
      ' HTTP/1.',
      ' HTTP/.1',
      ' HTTP/11',
      ' HTTP/1.1.1',
      ' HTTP/1.10',
      ' HTTP/01.1',
      ' HTTP/ 1.1',
      ' HTTP /1.1',
      ' HTTP\\1.1',
    ].map((text) => version(text, text === ' HTTP/11' ? 400 : 400)),
    ...[
      ' http/1.1',
      ' Http/1.1',
      ' HTTPS/1.1',
      ' HTTP/1.1 ',
      ' HTTP/1.1\t',
      '  HTTP/1.1',
      ' HTTP/1,1',
      ' HTTP/+1.1',
      ' HTTP/1.-1',
      ' ICY/1.1',
      ' XHTTP/1.1',
      ' HTTP/1.x',
    ].map((text) => version(text, 400)),
    refused('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 501),
    refused('two requests of HTTP/0.9', 'GET /weather/v1/a\r\nGET /weather/v1/b\r\n'),
    served('HTTP/1.0 without Host', 'GET /weather/v1/a HTTP/1.0\r\n\r\n', [A], 'nothing'),
    served('HTTP/1.0 that would go on', head('GET /weather/v1/a HTTP/1.0', ['Connection: keep-alive']), [A], 'nothing'),
    served(
      'HTTP/1.0 with a body',
      head('POST /weather/v1/a HTTP/1.0', [`Content-Length: ${SMUGGLED.length}`]) + SMUGGLED,
      [posted(SMUGGLED)],
      'nothing',
    ),
    refused(
      'HTTP/1.0 with chunks',
      `${head('POST /weather/v1/a HTTP/1.0', ['Transfer-Encoding: chunked'])}0\r\n\r\n${SMUGGLED}`,
    ),
    refused(
      'HTTP/1.0 with another coding',
      `${head('POST /weather/v1/a HTTP/1.0', ['Transfer-Encoding: identity'])}`,
      501,
    ),
    refused('HTTP/1.0 with two Hosts', head('GET /weather/v1/a HTTP/1.0', ['Host: b'])),
  ],
};

export const methods: Family = {
  name: 'methods',
  cases: [
    ...['get', 'Get', 'GETX', 'GE', 'G', 'X'.repeat(30), 'BREW', 'SMUGGLE'].map((method) =>
      refused(method, head(`${method} /weather/v1/a HTTP/1.1`), 501),
    ),
    ...['', 'G\0T', 'G"T', 'GET,', '(GET)', '\xe9', '/GET', 'GET\t'].map((method) =>
      refused(JSON.stringify(method), head(`${method} /weather/v1/a HTTP/1.1`)),
    ),
    refused('an answer where a request should be', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
  ],
};

const websocket = (...more: string[]): string =>
  get('Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: eA==', ...more);

/** Requests that make a server wait, or that change what the connection speaks. */
export const expectAndUpgrade: Family = {
  name: 'Expect and Upgrade',
  cases: [
    ...['100-Continue', '100-continue '].map((text) => ({
      ...served(`Expect: ${text}`, post([`Expect: ${text}`, 'Content-Length: 5'], 'hello'), [
        posted('hello', { expect: null }),
      ]),
      answers: [100, 200],
    })),
    {
      ...served('Expect with chunks', chunked('5\r\nhello\r\n0\r\n\r\n', 'Expect: 100-continue'), [posted('hello')]),
      answers: [100, 200],
    },
    served('Expect without a body', get('Expect: 100-continue'), [{ ...A, fields: { expect: null } }]),
    served('Expect with a length of zero', post(['Expect: 100-continue', 'Content-Length: 0']), [posted('')]),
    served('Expect of something else', post(['Expect: y 100-continue', 'Content-Length: 5'], 'hello'), [
      posted('hello', { expect: null }),
    ]),
    served(
      'Expect in HTTP/1.0',
      head('POST /weather/v1/a HTTP/1.0', ['Expect: 100-continue', 'Content-Length: 5']) + 'hello',
      [posted('hello')],
      'nothing',
    ),
    {
      ...served(
        'Expect of a request that is refused: its body may come or not, so nothing follows',
        head('POST /nowhere HTTP/1.1', ['Expect: 100-continue', 'Content-Length: 5']),
        [],
        'nothing',
      ),
      answers: [404],
    },
    broken('Expect with chunks that are none', chunked('x', 'Expect: 100-continue')),
    served(
      'h2c, which is passed over',
      get('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'),
      [{ ...A, fields: { upgrade: null, 'http2-settings': null, connection: 'keep-alive' } }],
    ),
    served('h2c that Connection does not name', get('Upgrade: h2c'), [{ ...A, fields: { upgrade: null } }]),
    refused('TLS', get('Connection: Upgrade', 'Upgrade: TLS/1.0')),
    refused('h2', get('Connection: Upgrade', 'Upgrade: h2')),
    refused('several', get('Connection: Upgrade', 'Upgrade: h2c, websocket')),
    refused('several in several fields', get('Connection: Upgrade', 'Upgrade: h2c', 'Upgrade: websocket')),
    refused('WebSocket with a body', websocket('Content-Length: 5').concat('hello')),
    refused('WebSocket with chunks', websocket('Transfer-Encoding: chunked').concat('0\r\n\r\n')),
    refused('WebSocket by POST', post(['Connection: Upgrade', 'Upgrade: websocket'])),
    served('WebSocket that the upstream does not agree to: what follows is a request', websocket(), [
      { ...A, fields: { upgrade: 'websocket', connection: 'Upgrade' } },
    ]),
    served('WebSocket that Connection does not name', get('Upgrade: websocket'), [{ ...A, fields: { upgrade: null } }]),
  ],
};

/** What comes after a request that is refused, or before one. */
export const pipelining: Family = {
  name: 'pipelining',
  cases: [
    served('three in one piece', get() + post(['Content-Length: 1'], 'x') + get(), [A, posted('x'), A]),
    refused('nonsense behind two', `${get()}${get()}nonsense\r\n\r\n${SMUGGLED}`, 400, [A, A]),
    refused('a fault in the head, and a request behind it', get('X : y') + SMUGGLED),
    refused(
      'a fault in the framing, and a request behind it',
      post(['Content-Length: 1', 'Content-Length: 1'], 'x') + SMUGGLED,
    ),
    broken('a fault in the chunks, and a request behind it', chunked('z\r\n') + SMUGGLED),
    broken('a fault in the chunks of the second', get() + chunked('1\r\nx\r\nz\r\n') + SMUGGLED, [A]),
    refused('a head that is too large, and a request behind it', get(`X: ${'y'.repeat(17_000)}`) + SMUGGLED, 431),
    refused(
      'too many fields, and a request behind them',
      get(...Array.from({ length: 100 }, () => 'X: y')) + SMUGGLED,
      431,
    ),
    refused(
      'a target that is too long, and a request behind it',
      head(`GET /weather/v1/${'a'.repeat(17_000)} HTTP/1.1`) + SMUGGLED,
      414,
    ),
    served('nothing behind close', get('Connection: close') + SMUGGLED, [A], 'nothing'),
    served('nothing behind HTTP/1.0', head('GET /weather/v1/a HTTP/1.0') + SMUGGLED, [A], 'nothing'),
    turnedDown('one that is not served', head('GET /nowhere HTTP/1.1'), 404),
  ],
};
