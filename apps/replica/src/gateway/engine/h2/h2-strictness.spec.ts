import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RecordingUpstream, recordingUpstream, until } from '#harness';
import { definitionOf, placed } from '../../../testing/gateway-ops.js';
import { END_HEADERS, END_STREAM, FRAME, fields, frame, H2Raw, REQUEST } from '../../../testing/h2-frames.js';
import { TestGateway } from '../../../testing/test-gateway.js';
import { headText } from './h2-head.js';

let gateway: TestGateway;
let upstream: RecordingUpstream;
let raw: H2Raw;

beforeEach(async () => {
  upstream = await recordingUpstream();
  gateway = await TestGateway.start(
    placed(
      definitionOf({
        security: 'open',
        routes: [{ method: '*', path: '/*' }],
        upstream: { targets: [{ url: upstream.url }] },
      }),
    ),
  );
  await gateway.listenTls();
  raw = await H2Raw.open(gateway.tlsPort);
});

afterEach(async () => {
  raw.socket.destroy();
  await gateway.stop();
  await upstream.close();
});

type Field = readonly [string, string];
type Case = readonly [string, Field[]];

/** `REQUEST` with other pseudo fields, or without some of them. */
function pseudo(change: Record<string, string | null>): Field[] {
  const entries = { ...Object.fromEntries(REQUEST), ...change };
  return Object.entries(entries).flatMap(([name, value]) => (value === null ? [] : [[name, value] as const]));
}

/** Fields that nghttp2 leaves out before anybody is told of them. */
const LEFT_OUT: Case[] = [
  ['a line break in a value', [...REQUEST, ['x-a', 'a\r\nx-b: c']]],
  ['a bare LF in a value', [...REQUEST, ['x-a', 'a\nx-b: c']]],
  ['a bare CR in a value', [...REQUEST, ['x-a', 'a\rb']]],
  ['a NUL in a value', [...REQUEST, ['x-a', 'a\0b']]],
  ['a line break in a name', [...REQUEST, ['x-a: b\r\nx-c', 'd']]],
  ['a colon in a name', [...REQUEST, ['x-a:', 'b']]],
  ['a space in a name', [...REQUEST, ['x-a ', 'b']]],
  ['an empty name', [...REQUEST, ['', 'b']]],
];

/** What could be another request, or another framing, once it is HTTP/1.1. */
const SMUGGLED: Case[] = [
  ['a name in upper case', [...REQUEST, ['X-A', 'b']]],
  ['a transfer coding', [...REQUEST, ['transfer-encoding', 'chunked']]],
  ['Connection', [...REQUEST, ['connection', 'x-forwarded-for']]],
  ['Keep-Alive', [...REQUEST, ['keep-alive', 'timeout=5']]],
  ['Proxy-Connection', [...REQUEST, ['proxy-connection', 'close']]],
  ['Upgrade', [...REQUEST, ['upgrade', 'websocket']]],
  ['TE that is not trailers', [...REQUEST, ['te', 'chunked']]],
  ['a request in the path', pseudo({ ':path': '/weather/v1/a HTTP/1.1\r\nHost: b\r\n\r\nGET /weather/v1/b' })],
  ['a space in the path', pseudo({ ':path': '/weather/v1/a b' })],
  ['a path that is a URL', pseudo({ ':path': 'http://b/weather/v1/a' })],
  ['an empty path', pseudo({ ':path': '' })],
  ['an asterisk for a path', pseudo({ ':method': 'OPTIONS', ':path': '*' })],
  ['a request in the method', pseudo({ ':method': 'GET /weather/v1/b HTTP/1.1\r\nHost: b\r\n\r\nGET' })],
  ['a space in the method', pseudo({ ':method': 'GET /x' })],
  ['an empty method', pseudo({ ':method': '' })],
  ['a line break in the authority', pseudo({ ':authority': 'a\r\nx-b: c' })],
  ['a path in the authority', pseudo({ ':authority': 'a/b' })],
  ['a user in the authority', pseudo({ ':authority': 'a@b' })],
  ['an empty authority', pseudo({ ':authority': '' })],
  ['another Host than the authority', [...REQUEST, ['host', 'b']]],
  ['two Hosts', [...pseudo({ ':authority': null }), ['host', 'a'], ['host', 'a']]],
  ['neither Host nor authority', pseudo({ ':authority': null })],
  ['another scheme', pseudo({ ':scheme': 'http' })],
  ['a scheme with a URL in it', pseudo({ ':scheme': 'https://b/?' })],
  ['no scheme', pseudo({ ':scheme': null })],
  ['no path', pseudo({ ':path': null })],
  ['no method', pseudo({ ':method': null })],
  ['a pseudo field twice', [...REQUEST, [':path', '/weather/v1/b']]],
  ['a pseudo field after a field', [...pseudo({ ':path': null }), ['x-a', 'b'], [':path', '/weather/v1/a']]],
  ['a pseudo field of answers', [...REQUEST, [':status', '200']]],
  ['a pseudo field that nobody knows', [...REQUEST, [':x', 'y']]],
  ['extended CONNECT', [...pseudo({ ':method': 'CONNECT' }), [':protocol', 'websocket']]],
];

describe('a head of HTTP/2 that would be something else in HTTP/1.1', () => {
  it.each(SMUGGLED)('reaches no upstream: %s', async (_, list) => {
    raw.head(1, list);
    expect(await raw.outcome(1)).toMatch(/^(?:400|reset 1|goaway 1)$/);
    expect([upstream.requests, gateway.metrics.faults]).toEqual([[], 0]);
  });

  it.each(LEFT_OUT)('is without the field that it cannot have: %s', async (_, list) => {
    raw.request(1);
    expect(await raw.outcome(1)).toBe('answered');
    raw.head(3, list);
    expect(await raw.outcome(3)).toBe('answered');
    const [plain, other] = upstream.requests.map(({ headers }) => ({
      ...headers,
      'x-request-id': '',
      traceparent: '',
    }));
    expect(other).toEqual(plain);
  });

  it.each([...LEFT_OUT, ...SMUGGLED])(
    'is refused by the gateway, too, and not by nghttp2 alone: %s',
    async (_, list) => {
      const text = headText(list.flat(), true);
      // what HTTP/1.1 can say, its own rules decide about
      if (typeof text === 'string') expect(text).toMatch(/^(?:OPTIONS \* |GET http:|GET .*\r\nhost: a[@/]b\r\n)/);
      else expect(text.status).toBeOneOf([400, 501]);
    },
  );

  it.each([
    [
      'CONNECT',
      [
        [':method', 'CONNECT'],
        [':authority', 'a:80'],
      ],
      '501',
    ],
    ['a method that nobody knows', pseudo({ ':method': 'BREW' }), '501'],
    ['an encoded way up', pseudo({ ':path': '/weather/v1/%2e%2e/b' }), '400'],
    ['a head that is too large', [...REQUEST, ['x-a', 'y'.repeat(17_000)]], '431'],
    ['too many fields', [...REQUEST, ...Array.from({ length: 100 }, (): Field => ['x', 'y'])], '431'],
    ['Content_Length', [...REQUEST, ['content_length', '5']], '400'],
    ['a length without a body', [...REQUEST, ['content-length', '5']], '(?:400|reset 1)'],
    ['two lengths', [...REQUEST, ['content-length', '0'], ['content-length', '0']], '(?:400|reset 1)'],
    ['a signed length', [...REQUEST, ['content-length', '+5']], '(?:400|reset 1)'],
  ] as [string, Field[], string][])('is answered as in HTTP/1.1: %s', async (_, list, expected) => {
    raw.head(1, list);
    expect(await raw.outcome(1)).toMatch(new RegExp(`^${expected}$`));
    raw.request(3);
    expect(await raw.outcome(3)).toBe('answered'); // other streams have nothing to do with it
    expect(upstream.requests.map(({ url }) => url)).toEqual(['/a']);
  });

  it('is reset when it has far more fields than could be answered', async () => {
    raw.request(
      1,
      Array.from({ length: 250 }, (): Field => ['x', 'y']),
    );
    expect(await raw.outcome(1)).toMatch(/^reset (?:2|11)$/); // by node or by nghttp2, whoever is first
    expect(upstream.requests).toEqual([]);
  });
});

describe('a body of HTTP/2', () => {
  const post = (stream: number, more: Field[] = []): void =>
    raw.head(stream, [...pseudo({ ':method': 'POST' }), ...more], END_HEADERS);

  it.each([
    ['longer than announced', 'abcdef'],
    ['shorter than announced', 'ab'],
  ])('%s is no request', async (_, body) => {
    post(1, [['content-length', '4']]);
    raw.write(frame(FRAME.data, END_STREAM, 1, body));
    expect(await raw.outcome(1)).toMatch(/^(?:400|reset 1)$/);
    expect(upstream.requests).toEqual([]);
    await until(() => gateway.metrics.inFlight === 0, { what: 'nothing to be under way' });
  });

  it.each([
    ['of a large length', [['content-length', '100000']] as Field[]],
    ['of any length', []],
  ])('%s that ends by a reset is not whole for the upstream', async (_, more) => {
    post(1, more);
    raw.write(frame(FRAME.data, 0, 1, 'some'));
    await until(() => gateway.pools.outstanding === 1, { what: 'the upstream to be asked' });
    raw.write(frame(FRAME.reset, 0, 1, Buffer.from([0, 0, 0, 8])));
    await until(() => gateway.metrics.inFlight === 0 && gateway.pools.outstanding === 0, { what: 'nothing under way' });
    raw.request(3);
    expect(await raw.outcome(3)).toBe('answered');
    expect(upstream.requests.map(({ method }) => method)).toEqual(['GET']);
  });

  it('drops its trailers, as it does in HTTP/1.1', async () => {
    post(1);
    raw.write(frame(FRAME.data, 0, 1, 'body'));
    raw.write(frame(FRAME.headers, END_STREAM | END_HEADERS, 1, fields([['x-trailer', 'content-length: 9']])));
    expect(await raw.outcome(1)).toBe('answered');
    expect(upstream.requests[0]?.body.toString()).toBe('body');
    expect(upstream.requests[0]?.headers).not.toHaveProperty('x-trailer');
  });
});
