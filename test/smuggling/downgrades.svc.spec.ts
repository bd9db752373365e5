import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWith, startNginx, until } from '#harness';
import { definitionOf, placed } from '../../apps/replica/src/testing/gateway-ops.js';
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  fields,
  frame,
  H2Raw,
  REQUEST,
} from '../../apps/replica/src/testing/h2-frames.js';
import { TestGateway } from '../../apps/replica/src/testing/test-gateway.js';
import { type Passed, PROBED, SMUGGLED } from './case.js';
import { NodeUpstream } from './rig.js';

type Field = readonly [string, string];

/** A request of HTTP/2 that would be two, or another one, if it was written down as HTTP/1.1 without a thought. */
interface Downgrade {
  name: string;
  fields: Field[];
  /** one DATA frame each */
  body?: string[];
  trailers?: Field[];
  /** null: nothing; what is refused by nghttp2 and what by the gateway makes no difference */
  passed: Passed | null;
}

const head = (change: Record<string, string>, ...more: Field[]): Field[] => [
  ...Object.entries({ ...Object.fromEntries(REQUEST), ...change }),
  ...more,
];
const post = (...more: Field[]): Field[] => head({ ':method': 'POST' }, ...more);
const posted = (body: string): Passed => ({ method: 'POST', path: '/a', body });
const CHUNKS = `5\r\nhello\r\n0\r\n\r\n${SMUGGLED}`;
const LINES = `x\r\nContent-Length: 0\r\n\r\n${SMUGGLED}`;

const DOWNGRADES: Downgrade[] = [
  { name: 'a length of zero before a body', fields: post(['content-length', '0']), body: [SMUGGLED], passed: null },
  { name: 'a length that is too short', fields: post(['content-length', '3']), body: [`abc${SMUGGLED}`], passed: null },
  { name: 'a length that is too long', fields: post(['content-length', '300']), body: ['abc'], passed: null },
  { name: 'two lengths', fields: post(['content-length', '3'], ['content-length', '0']), body: ['abc'], passed: null },
  { name: 'a coding', fields: post(['transfer-encoding', 'chunked']), body: [CHUNKS], passed: null },
  {
    name: 'a coding and a length',
    fields: post(['transfer-encoding', 'chunked'], ['content-length', '5']),
    body: ['0\r\n\r\n'],
    passed: null,
  },
  { name: 'a coding with an underscore', fields: post(['transfer_encoding', 'chunked']), body: [CHUNKS], passed: null },
  {
    name: 'a coding in the name of a field',
    fields: post(['x: y\r\ntransfer-encoding', 'chunked']),
    body: [CHUNKS],
    passed: posted(CHUNKS),
  },
  {
    name: 'a request in the path',
    fields: head({ ':path': `/weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n${SMUGGLED}` }),
    passed: null,
  },
  { name: 'a version in the path', fields: head({ ':path': '/weather/v1/a HTTP/1.1' }), passed: null },
  { name: 'a request in the method', fields: head({ ':method': `${SMUGGLED}GET` }), passed: null },
  { name: 'lines in the authority', fields: head({ ':authority': LINES }), passed: null },
  { name: 'lines in Host', fields: head({}, ['host', LINES]), passed: { method: 'GET', path: '/a' } },
  { name: 'a fragment in the path', fields: head({ ':path': '/weather/v1/a#b' }), passed: null },
  { name: 'chunks in a body', fields: post(), body: [CHUNKS], passed: posted(CHUNKS) },
  {
    name: 'the end of chunks in a body, a frame of its own',
    fields: post(),
    body: ['hello', '0\r\n\r\n', SMUGGLED],
    passed: posted(`hello0\r\n\r\n${SMUGGLED}`),
  },
  { name: 'empty frames in a body', fields: post(), body: ['a', '', '', 'b', ''], passed: posted('ab') },
  { name: 'a body of empty frames', fields: post(), body: ['', ''], passed: posted('') },
  {
    name: 'a request in a body by length',
    fields: post(['content-length', String(SMUGGLED.length)]),
    body: [SMUGGLED],
    passed: posted(SMUGGLED),
  },
  {
    name: 'a request in a body of GET',
    fields: head({}),
    body: [SMUGGLED],
    passed: { method: 'GET', path: '/a', body: SMUGGLED },
  },
  {
    name: 'trailers that frame a message',
    fields: post(),
    body: ['hello'],
    trailers: [['content-length', '0']],
    passed: null,
  },
  {
    name: 'lines in trailers',
    fields: post(),
    body: ['hello'],
    trailers: [['x', LINES]],
    passed: posted('hello'),
  },
];

/** The same in front of each kind of upstream. @param start what the gateway has for its upstream */
function downgrades(start: (upstream: NodeUpstream) => Promise<{ url: string; stop: () => Promise<void> }>): void {
  let upstream: NodeUpstream;
  let gateway: TestGateway;
  let stop: () => Promise<void>;

  beforeAll(async () => {
    upstream = await NodeUpstream.start();
    const started = await start(upstream);
    stop = started.stop;
    const definition = definitionOf({
      security: 'open',
      routes: [{ method: '*', path: '/*' }],
      upstream: { targets: [{ url: started.url }] },
    });
    gateway = await TestGateway.start(placed(definition));
    await gateway.listenTls();
  });

  afterAll(async () => {
    await gateway.stop();
    await stop();
    await upstream.stop();
  });

  async function send(raw: H2Raw, tried: Downgrade): Promise<void> {
    const { body = [], trailers } = tried;
    raw.head(1, tried.fields, body.length === 0 ? END_STREAM | END_HEADERS : END_HEADERS);
    body.forEach((part, i) => {
      const last = i === body.length - 1 && !trailers;
      raw.write(frame(FRAME.data, last ? END_STREAM : 0, 1, Buffer.from(part, 'latin1')));
    });
    if (trailers) raw.write(frame(FRAME.headers, END_STREAM | END_HEADERS, 1, fields(trailers)));
    await raw.outcome(1);
  }

  it.each(DOWNGRADES)('comes to nothing: $name', async (tried) => {
    upstream.forget();
    const raw = await H2Raw.open(gateway.tlsPort);
    await send(raw, tried);
    raw.socket.destroy();
    await until(() => gateway.metrics.inFlight === 0 && gateway.pools.outstanding === 0, {
      what: 'nothing to be under way',
      every: 1,
    });
    // another client, on whatever connections to the upstream are kept
    const other = await H2Raw.open(gateway.tlsPort);
    other.head(1, head({ ':path': '/weather/v1/probe' }));
    expect(await other.outcome(1)).toBe('answered');
    expect(other.body(1)).toBe('ok');
    other.socket.destroy();
    const passed = tried.passed ? [tried.passed, PROBED] : [PROBED];
    const seen = upstream.seen.map(({ method, path, body }) => ({ method, path, body }));
    expect(seen).toEqual(passed.map(({ method, path, body = '' }) => ({ method, path, body })));
    expect([upstream.faults, gateway.metrics.faults]).toEqual([[], 0]);
  });
}

describe('G1 HTTP/2 written down as HTTP/1.1 for node', () => {
  downgrades(async ({ url }) => ({ url, stop: async () => undefined }));
});

describeWith('nginx', 'G1 HTTP/2 written down as HTTP/1.1 for nginx', () => {
  downgrades(async ({ url }) => {
    const nginx = await startNginx({
      http: `upstream node { server ${new URL(url).host}; keepalive 4; }`,
      server: "location / { proxy_pass http://node; proxy_http_version 1.1; proxy_set_header Connection ''; }",
    });
    return { url: `http://127.0.0.1:${nginx.port}`, stop: nginx.stop };
  });
});
