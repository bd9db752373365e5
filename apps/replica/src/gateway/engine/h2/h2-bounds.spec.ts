import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '#harness';
import { type RawServer, rawServer } from '../../../testing/clients.js';
import { definitionOf, placed } from '../../../testing/gateway-ops.js';
import { END_HEADERS, END_STREAM, FRAME, fields, frame, H2Raw, REQUEST } from '../../../testing/h2-frames.js';
import { MovableClock } from '../../../testing/movable-clock.js';
import { TestGateway } from '../../../testing/test-gateway.js';
import type { Limits } from '../limits.js';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const POST = [[':method', 'POST'] as const, ...REQUEST.slice(1)];
const CALM = 11; // ENHANCE_YOUR_CALM
const four = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

let gateway: TestGateway;
let server: RawServer;
let answer: (socket: Socket) => void;
const open: H2Raw[] = [];

beforeEach(async () => {
  answer = (socket) => socket.write(OK);
  server = await rawServer((socket) => socket.on('data', () => answer(socket)));
});

afterEach(async () => {
  for (const raw of open.splice(0)) raw.socket.destroy();
  await gateway.stop();
  await server.close();
});

async function start(limits: Partial<Limits> = {}, greet = true, clock?: MovableClock): Promise<H2Raw> {
  gateway = new TestGateway(null, clock, limits);
  gateway.load(
    placed(
      definitionOf({
        security: 'open',
        routes: [{ method: '*', path: '/*' }],
        upstream: { targets: [{ url: server.url }], retries: 0 },
      }),
    ),
  );
  await gateway.listen();
  await gateway.listenTls();
  return another(greet);
}

async function another(greet = true): Promise<H2Raw> {
  const raw = await H2Raw.open(gateway.tlsPort, greet);
  open.push(raw);
  return raw;
}

async function ended(raw: H2Raw): Promise<void> {
  await until(() => raw.closed && gateway.metrics.connections === 0, { what: 'the connection to end' });
  await until(() => gateway.metrics.inFlight === 0 && gateway.pools.outstanding === 0, { what: 'nothing under way' });
  expect(gateway.metrics.faults).toBe(0);
}

describe('G4 a client of HTTP/2', () => {
  it('that opens streams only to break them off is sent away', async () => {
    const raw = await start();
    answer = () => undefined;
    for (let stream = 1; stream < 2000 && !raw.closed; stream += 2) {
      raw.request(stream);
      raw.write(frame(FRAME.reset, 0, stream, four(8)));
      if (stream % 50 === 1) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await raw.resetOf(0)).toBe(CALM);
    expect(server.sockets.length).toBeLessThan(200);
    await ended(raw);
  });

  it('has no more streams than it was told, whether it heard that or not', async () => {
    const raw = await start();
    answer = () => undefined;
    for (let stream = 1; stream < 401; stream += 2) raw.request(stream);
    await until(() => raw.of(FRAME.reset).length === 100, { what: 'the other half to be refused' });
    expect(gateway.metrics.inFlight).toBe(100);
    expect(new Set(raw.of(FRAME.reset).map(({ payload }) => payload.readUInt32BE(0)))).toEqual(new Set([7]));
    raw.socket.destroy();
    await ended(raw);
  });

  it('gets its streams refused, to be sent again, while the worker has as many requests as connections', async () => {
    const raw = await start({ connections: 10 });
    answer = () => undefined;
    for (let stream = 1; stream < 41; stream += 2) raw.request(stream);
    await until(() => raw.of(FRAME.reset).length === 10, { what: 'the rest to be refused' });
    expect(await raw.outcome(39)).toBe('reset 7'); // REFUSED_STREAM
  });

  it.each([
    ['pings', () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))],
    ['settings', () => frame(FRAME.settings, 0, 0, Buffer.from([0, 3, 0, 0, 0, 100]))],
    ['priorities', () => frame(FRAME.priority, 0, 99, Buffer.alloc(5))],
    ['windows', () => frame(FRAME.windowUpdate, 0, 0, four(1))],
    ['empty parts of a body', () => frame(FRAME.data, 0, 1)],
  ])('that sends %s without end is sent away', async (_, next) => {
    const raw = await start();
    raw.head(1, POST, END_HEADERS);
    const flood = Buffer.concat(Array.from({ length: 1000 }, next));
    for (let i = 0; i < 50 && !raw.closed; i++) {
      raw.write(flood);
      await new Promise((resolve) => setTimeout(resolve, 10)); // the gateway looks at it ten times a second
    }
    await ended(raw);
  });

  it('that never ends a head is sent away', async () => {
    const raw = await start();
    raw.write(frame(FRAME.headers, END_STREAM, 1, fields(REQUEST)));
    for (let i = 0; i < 50; i++) raw.write(frame(FRAME.continuation, 0, 1, fields([['x', 'y'.repeat(8000)]])));
    await ended(raw);
  });

  it('that says nothing after the handshake is closed in the time for a head', async () => {
    await ended(await start({ headMs: 300 }, false));
  });

  it('that speaks no HTTP/2 is closed', async () => {
    const raw = await start({}, false);
    raw.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await ended(raw);
  });

  it('that asks for nothing is asked to go, and closed', async () => {
    const raw = await start({ idleMs: 300 });
    expect(await raw.resetOf(0)).toBe(0);
    await ended(raw);
  });

  it('that sends a body too slowly is told so, and holds no connection of an upstream', async () => {
    const raw = await start({ stallMs: 300, bodyRate: 0 });
    answer = () => undefined;
    raw.head(1, POST, END_HEADERS);
    raw.write(frame(FRAME.data, 0, 1, 'some'));
    expect(await raw.outcome(1)).toBe('408');
    await until(() => gateway.pools.outstanding === 0, { what: 'the upstream to be let go' });
  });

  it('that sends a byte now and then sends it too slowly, too', async () => {
    const raw = await start({ stallMs: 300, bodyRate: 500 });
    answer = () => undefined;
    raw.head(1, POST, END_HEADERS);
    const timer = setInterval(() => raw.write(frame(FRAME.data, 0, 1, 'a')), 50);
    expect(await raw.outcome(1)).toBe('408');
    clearInterval(timer);
  });

  it('that does not take its answer is reset, and nothing is read for it meanwhile', async () => {
    const raw = await start({ stallMs: 300 });
    let sent = 0;
    answer = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n');
      const more = (): void => {
        if (socket.destroyed || sent >= 100_000_000) return;
        sent += 65_536;
        socket.write(Buffer.alloc(65_536), more);
      };
      more();
    };
    raw.request(1); // whose window of 64 KiB is never made larger
    expect(await raw.outcome(1)).toBe('reset 2');
    expect(sent).toBeLessThan(20_000_000);
    await until(() => gateway.pools.outstanding === 0, { what: 'the upstream to be let go' });
  });

  it('that does not take its small answer is reset, too', async () => {
    const raw = await start({ stallMs: 300 });
    raw.write(frame(FRAME.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0]))); // no window at all
    raw.request(1);
    expect(await raw.outcome(1)).toBe('reset 2');
    await until(() => gateway.metrics.inFlight === 0, { what: 'nothing to be under way' });
  });

  it.each(['in order', 'by a reset'])('that goes away %s in the middle of everything leaves nothing', async (how) => {
    const raw = await start();
    answer = (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
    raw.request(1);
    raw.head(3, POST, END_HEADERS);
    raw.write(frame(FRAME.data, 0, 3, 'some'));
    await until(() => gateway.metrics.inFlight === 2, { what: 'both to be under way' });
    if (how === 'in order') raw.socket.end();
    else raw.socket.destroy();
    await ended(raw);
    await until(() => server.sockets.every(({ destroyed }) => destroyed), { what: 'every upstream connection to end' });
  });
});

describe('G4 a client of HTTP/2 that is there for long', () => {
  const clock = new MovableClock();
  const begin = (): Promise<H2Raw> => start({ idleMs: 1e9 }, true, clock);

  /** Until the gateway has looked at the connection, a minute later. */
  async function minute(): Promise<void> {
    clock.move(60_000);
    const now = clock.monotonicMs();
    await until(() => gateway.engine.sweptAt >= now, { what: 'a look at the connection' });
    await new Promise((resolve) => setImmediate(resolve));
  }

  it('may break off most of its streams', async () => {
    const raw = await begin();
    answer = () => undefined;
    for (let stream = 1; stream < 400; stream += 2) {
      raw.request(stream);
      await until(() => gateway.metrics.inFlight === 1, { what: 'the request to be under way', every: 2 });
      raw.write(frame(FRAME.reset, 0, stream, four(8)));
      await until(() => gateway.metrics.inFlight === 0, { what: 'the request to be gone', every: 2 });
      if (stream % 80 === 79) await minute();
    }
    expect(raw.closed).toBe(false);
    answer = (socket) => socket.write(OK);
    raw.request(401);
    expect(await raw.outcome(401)).toBe('answered');
  });

  it('may send a ping now and then', async () => {
    const raw = await begin();
    const pings = Buffer.concat(Array.from({ length: 300 }, () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))));
    for (let sent = 300; sent <= 15_000; sent += 300) {
      raw.write(pings);
      await until(() => raw.of(FRAME.ping).length === sent, { what: 'every ping to be answered', every: 2 });
      if (sent % 3000 === 0) await minute();
    }
    raw.request(1);
    expect(await raw.outcome(1)).toBe('answered');
  });
});

describe('G3 an upstream that breaks its answer to a client of HTTP/2', () => {
  it('ends that stream by a reset, and never as if the answer were whole', async () => {
    const raw = await start();
    answer = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n');
      void until(() => raw.body(1) === 'half', { what: 'half of the answer' }).then(() => socket.resetAndDestroy());
    };
    raw.request(1);
    expect(await raw.outcome(1)).toBe('reset 2'); // INTERNAL_ERROR
    expect(raw.of(FRAME.data, 1).filter(({ flags }) => (flags & END_STREAM) !== 0)).toEqual([]);
  });
});

describe('G2 a connection of HTTP/2 when the gateway drains', () => {
  it('is asked to go, serves what it has begun, and ends', async () => {
    const raw = await start();
    answer = () => undefined;
    raw.request(1);
    raw.request(3);
    await until(() => server.sockets.length === 2, { what: 'the upstream to be asked' });
    const drained = gateway.engine.drain(5000);
    expect(await raw.resetOf(0)).toBe(0);
    expect(raw.of(FRAME.goaway)[0]?.payload.readUInt32BE(0)).toBe(3); // whatever comes later may be sent elsewhere
    raw.request(5);
    for (const socket of server.sockets) socket.write(OK);
    expect([await raw.outcome(1), await raw.outcome(3)]).toEqual(['answered', 'answered']);
    await drained;
    await ended(raw);
    expect(server.sockets).toHaveLength(2);
  });
});

describe('G4 a TLS handshake', () => {
  it('that is never ended is closed in the time for a head, and counted', async () => {
    await start({ headMs: 300 });
    const { connect } = await import('node:net');
    const silent = connect(gateway.tlsPort, '127.0.0.1');
    silent.on('error', () => undefined);
    const half = connect(gateway.tlsPort, '127.0.0.1', () => half.write(Buffer.from('160301', 'hex')));
    half.on('error', () => undefined);
    await Promise.all([once(silent, 'close'), once(half, 'close')]);
    await until(() => gateway.metrics.handshakeFailures === 2, { what: 'both to be counted' });
    expect(await gateway.scrape()).toMatch(/tls_handshake_failures_total\{.*\} 2/);
  });

  it.each([
    ['an old version', { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }],
    ['an old cipher', { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }],
    ['another protocol', { ALPNProtocols: ['spdy/3'] }],
  ] as const)('with %s fails', async (_, options) => {
    await start();
    const socket = connectTls({
      port: gateway.tlsPort,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ...options,
      ALPNProtocols: 'ALPNProtocols' in options ? [...options.ALPNProtocols] : undefined,
    });
    const [error] = (await once(socket, 'error')) as [Error];
    expect(error.message).toMatch(/alert|handshake|protocol/i);
    await until(() => gateway.metrics.handshakeFailures === 1, { what: 'it to be counted' });
  });
});
