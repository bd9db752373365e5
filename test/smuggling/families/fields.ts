import { A, type Case, type Family, get, posted, post, refused, served, SMUGGLED } from '../case.js';

const line = (text: string): Case => refused(JSON.stringify(text), get(text));

/** Names that one of two servers reads as another name. */
export const fieldNames: Family = {
  name: 'field names',
  cases: [
    ...[
      'X : y',
      'X\t: y',
      'X\r: y',
      'X',
      'X y: z',
      ': y',
      ' : y',
      'X\xe9: y',
      'X\xa0: y',
      'X\0: y',
      '(X): y',
      'X,Y: z',
      'X/Y: z',
      'X[0]: y',
      'X{}: y',
      'X@Y: z',
      '"X": y',
    ].map(line),
    ...[
      'X=Y: z',
      'X;Y: z',
      'X?: y',
      '<X>: y',
      'X\\: y',
      'Content-Length\0: 5',
      'Host\0: b',
      'GET / HTTP/1.1',
      'HTTP/1.1 200 OK',
    ].map(line),
    line('Content_Length: 5'),
    line('Transfer_Encoding: chunked'),
    line('TRANSFER_ENCODING: chunked'),
    served('every character that a name may have', get("!#$%&'*+-.^_`|~09azAZ: y"), [
      { ...A, fields: { "!#$%&'*+-.^_`|~09azaz": 'y' } },
    ]),
    served('an empty value', get('X:'), [{ ...A, fields: { x: '' } }]),
    served('colons in a value', get('X:: a: b'), [{ ...A, fields: { x: ': a: b' } }]),
    served('names with underscores that speak for a proxy', get('X_Forwarded_For: 6.6.6.6', 'X_Real_IP: 6.6.6.6'), [
      { ...A, fields: { x_forwarded_for: null, x_real_ip: null, 'x-forwarded-for': '127.0.0.1' } },
    ]),
    served(
      'names that speak for a proxy',
      get('X-Forwarded-For: 6.6.6.6', 'Forwarded: for=6.6.6.6', 'X-Real-IP: 6.6.6.6', 'x-heliograph-application: x'),
      [
        {
          ...A,
          fields: {
            'x-forwarded-for': '127.0.0.1',
            'x-real-ip': null,
            'x-heliograph-application': null,
            forwarded: 'for=127.0.0.1;host="a";proto=http',
          },
        },
      ],
    ),
  ],
};

const host = (...lines: string[]): Case =>
  refused(JSON.stringify(lines), `GET /weather/v1/a HTTP/1.1\r\n${lines.map((text) => `${text}\r\n`).join('')}\r\n`);

export const hosts: Family = {
  name: 'Host',
  cases: [
    host(),
    host('Host: a', 'Host: a'),
    host('Host: a', 'Host: b'),
    host('Host: a', 'hOST: b'),
    host('Host:', 'Host: a'),
    host('Host : a'),
    host(' Host: a'),
    host('\tHost: a', 'Host: a'),
    host('Host: a/b'),
    host('Host: a b'),
    host('Host: a\tb'),
    host('Host: a@b/'),
    host('Host: http://a'),
    host('Host: a?b'),
    host('Host: a#b'),
    host('Host: a\\b'),
    host('Host: "a"'),
    host('Host: a\xe9'),
    host('Host: a\0b'),
    host('Host: <a>'),
    served('a host that Connection names is the target all the same', get('Connection: host'), [A]),
    served('X-Forwarded-Host of the client', get('X-Forwarded-Host: b', 'X-Host: c'), [
      { ...A, fields: { 'x-forwarded-host': 'a' } },
    ]),
  ],
};

/** Fields that Connection names are for this connection only. The gateway's own go upstream in any case. */
export const connectionOptions: Family = {
  name: 'Connection',
  cases: [
    ...[
      'content-length',
      'Content-Length',
      'CONTENT-LENGTH, close-not',
      'host, content-length',
      ',content-length,,',
      'keep-alive, content-length',
    ].map((options) =>
      served(
        `${options}: the body stays one`,
        post([`Connection: ${options}`, `Content-Length: ${SMUGGLED.length}`], SMUGGLED),
        [posted(SMUGGLED)],
      ),
    ),
    served('authorization', get('Authorization: Basic x', 'Connection: authorization'), [
      { ...A, fields: { authorization: null } },
    ]),
    served('cookie and a field of two lines', get('Cookie: x', 'X: 1', 'X: 2', 'Connection: cookie, x'), [
      { ...A, fields: { cookie: null, x: null } },
    ]),
    served(
      'what the gateway says by itself',
      get(
        'X-Forwarded-For: 6.6.6.6',
        'Connection: x-forwarded-for, x-request-id, forwarded, x-forwarded-host, host, connection',
      ),
      [
        {
          ...A,
          fields: {
            'x-forwarded-for': '127.0.0.1',
            'x-forwarded-host': 'a',
            forwarded: 'for=127.0.0.1;host="a";proto=http',
            connection: 'keep-alive',
          },
        },
      ],
    ),
    served('in several fields', get('Connection: x', 'X: 1', 'Y: 2', 'Connection: y'), [
      { ...A, fields: { x: null, y: null } },
    ]),
    served('something that is no name', get('Connection: a b, "x", @, x', 'X: 1'), [{ ...A, fields: { x: null } }]),
    served(
      'close among others',
      get('Connection: x, close', 'X: 1'),
      [{ ...A, fields: { x: null, connection: 'keep-alive' } }],
      'nothing',
    ),
    served('Close in other letters', get('Connection: Close'), [A], 'nothing'),
    served(
      'Proxy-Connection',
      get('Proxy-Connection: close'),
      [{ ...A, fields: { 'proxy-connection': null } }],
      'nothing',
    ),
    served(
      'hop-by-hop fields that nobody names',
      get('TE: trailers', 'Trailer: X', 'Keep-Alive: timeout=5', 'Proxy-Authorization: x', 'Proxy-Authenticate: x'),
      [
        {
          ...A,
          fields: {
            te: null,
            trailer: null,
            'keep-alive': null,
            'proxy-authorization': null,
            'proxy-authenticate': null,
          },
        },
      ],
    ),
  ],
};
