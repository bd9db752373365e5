import { A, type Family, get, head, post, posted, PROBE, PROBED, served, SMUGGLED } from '../case.js';

const length = (body: string): string => `Content-Length: ${body.length}`;
const withBody = (method: string): string => head(`${method} /weather/v1/a HTTP/1.1`, [length(SMUGGLED)]) + SMUGGLED;

/** CL.0 and 0.CL: one of two servers passes over the length, because the method, the path or the answer needs no body. */
export const ignoredLengths: Family = {
  name: 'CL.0 and 0.CL',
  cases: [
    ...['GET', 'DELETE', 'OPTIONS', 'PUT', 'PATCH', 'HEAD'].map((method) =>
      served(`${method} with a body that is a request`, withBody(method), [{ method, path: '/a', body: SMUGGLED }]),
    ),
    served(
      'GET with chunks that are a request',
      get('Transfer-Encoding: chunked').concat(`${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`),
      [{ ...A, body: SMUGGLED }],
    ),
    served('GET with a length that swallows the next request', get(length(PROBE)), [{ ...A, body: PROBE }], 'body'),
    served('POST with a length that swallows the next request', post([length(PROBE)]), [posted(PROBE)], 'body'),
    served('POST without a length is one without a body', post([]), [posted('')]),
    served('POST with a length of zero', post(['Content-Length: 0']), [posted('')]),
    served('GET with a length of zero', get('Content-Length: 0'), [A]),
    served(
      'a length that Connection names is still one',
      post([length(SMUGGLED), 'Connection: content-length'], SMUGGLED),
      [posted(SMUGGLED)],
    ),
    served(
      'a length that Connection names behind close',
      post([length('x'), 'Connection: content-length, close'], 'x'),
      [posted('x')],
      'nothing',
    ),
    served(
      'a body behind an offer of h2c',
      post(['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AA', length(SMUGGLED)], SMUGGLED),
      [posted(SMUGGLED, { upgrade: null, 'http2-settings': null })],
    ),
    {
      ...served(
        'a body of a request that is refused',
        head('POST /nowhere HTTP/1.1', [length(SMUGGLED)]) + SMUGGLED,
        [],
      ),
      answers: [404],
    },
    {
      ...served(
        'chunks of a request that is refused',
        `${head('POST /nowhere HTTP/1.1', ['Transfer-Encoding: chunked'])}0\r\n\r\n`,
        [],
        'nothing',
      ),
      answers: [404],
    },
    served('two such requests in a row', withBody('GET') + withBody('GET'), [
      { ...A, body: SMUGGLED },
      { ...A, body: SMUGGLED },
    ]),
    served('the body of one is the probe, and the probe follows', post([length(PROBE)], PROBE), [posted(PROBE)]),
    served('what is left out is left out', `${get()}${PROBE}`, [A, PROBED], 'nothing'),
  ],
};
