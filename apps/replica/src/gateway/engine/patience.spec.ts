import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type RecordingUpstream, recordingUpstream, until } from '#harness';
import { systemClock } from '#throttle';
import { RawClient, type RawServer, rawServer } from '../../testing/clients.js';
import { TestGateway } from '../../testing/test-gateway.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';

// the times that no setting says, made short
vi.mock('./bounds.js', async (original) => {
  const { BOUNDS } = await original<typeof import('./bounds.js')>();
  return {
    BOUNDS: {
      ...BOUNDS,
      lingerMs: 300,
      tunnelIdleMs: 300,
      upstreamStallMs: 500,
    },
  };
});

let gateway: TestGateway;
let upstream: RecordingUpstream;
let server: RawServer | undefined;

beforeEach(async () => {
  upstream = await recordingUpstream();
  gateway = new TestGateway(null, systemClock, { headMs: 300, stallMs: 1800, idleMs: 300 });
  await gateway.listen();
  load(upstream.url);
});

afterEach(async () => {
  await gateway.stop();
  await upstream.close();
  await server?.close();
  server = undefined;
});

function load(url: string): void {
  gateway.load(
    placed(definitionOf({ security: 'open', routes: [{ method: '*', path: '/*' }], upstream: { targets: [{ url }] } })),
  );
}

describe('G4 a client that', () => {
  it('sends its head too slowly is told so', async () => {
    const client = await RawClient.open(gateway.port);
    client.write('GET /weather/v1/a HTTP/1.1\r\nHost: ');
    expect(await client.end()).toMatch(
      /^HTTP\/1.1 408 Request Timeout\r\n[\s\S]*"code":"bad_request","status":408,"detail":"the head of the request took longer/,
    );
  });

  it('sends its head a byte at a time, and never ends it, is told so', async () => {
    const client = await RawClient.open(gateway.port);
    client.write('GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n');
    const trickle = setInterval(() => client.socket.writable && client.write('X: y\r\n'), 20);
    expect(await client.end()).toMatch(/^HTTP\/1.1 408 /);
    clearInterval(trickle);
    expect(gateway.metrics.inFlight).toBe(0);
  });

  it('begins a next head and does not end it is told so, after its answer', async () => {
    const client = await RawClient.open(gateway.port);
    client.write('GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\nGET /weather');
    expect((await client.end()).match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 408']);
  });

  it('stops in the middle of a small body is told so, and no upstream was asked', async () => {
    const client = await RawClient.open(gateway.port);
    client.write('POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello');
    expect(await client.end()).toMatch(/^HTTP\/1.1 408 [\s\S]*"code":"bad_request","status":408,"detail":"the body/);
    expect(upstream.requests).toEqual([]);
  });

  it('stops between two chunks is broken off, and its upstream request too', async () => {
    server = await rawServer((socket) => socket.resume());
    load(server.url);
    const client = await RawClient.open(gateway.port);
    client.write('POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n');
    await client.until(() => client.closed, 'the end');
    await until(() => server?.sockets[0]?.destroyed && gateway.metrics.inFlight === 0, {
      what: 'the upstream request to be broken off',
    });
  });

  it('goes on sending a refused body, slowly, is not listened to for long', async () => {
    const client = await RawClient.open(gateway.port);
    client.write('POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n');
    client.socket.allowHalfOpen = true;
    const trickle = setInterval(() => client.socket.writable && client.write('x'), 20);
    await until(() => gateway.metrics.connections === 0, { what: 'the connection to be gone' });
    clearInterval(trickle);
    expect(client.received).toMatch(/^HTTP\/1.1 404 /);
    client.socket.destroy();
  });

  it('leaves a tunnel unused loses it, and the upstream too', async () => {
    server = await rawServer((socket) =>
      socket.once('data', () =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
      ),
    );
    load(server.url);
    const client = await RawClient.open(gateway.port);
    client.write('GET /weather/v1/a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await client.has('101 Switching');
    await client.until(() => client.closed, 'the end');
    await until(() => server?.sockets[0]?.destroyed && gateway.metrics.inFlight === 0, { what: 'the tunnel to end' });
  });

  it('sends nothing at all is sent away', async () => {
    const client = await RawClient.open(gateway.port);
    await client.until(() => client.closed, 'the end');
  });

  it('stops in the middle of its body is broken off, and its upstream request too', async () => {
    server = await rawServer((socket) => socket.resume());
    load(server.url);
    const client = await RawClient.open(gateway.port);
    client.write('POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhello');
    await client.until(() => client.closed, 'the end');
    await until(() => server?.sockets[0]?.destroyed && gateway.metrics.inFlight === 0, {
      what: 'the upstream request to be broken off',
    });
  });

  it('does not take its answer is broken off, and its upstream request too', async () => {
    server = await rawServer((socket) => {
      socket.on('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n');
        socket.write(Buffer.alloc(50_000_000));
      });
    });
    load(server.url);
    const client = await RawClient.open(gateway.port);
    client.write('GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.has('\r\n\r\n');
    client.socket.pause();
    await until(() => server?.sockets[0]?.destroyed && gateway.metrics.inFlight === 0, {
      what: 'the upstream request to be broken off',
    });
    client.socket.destroy();
  });

  it('keeps a connection that it does not use loses it', async () => {
    const client = await RawClient.open(gateway.port);
    client.write('GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(await client.end()).toMatch(/^HTTP\/1.1 200 /);
  });

  it('waits for a slow upstream waits for as long as the API allows', async () => {
    upstream.fault = { kind: 'delay', ms: 2500 };
    const client = await RawClient.open(gateway.port);
    client.write('GET /weather/v1/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expect(await client.end()).toMatch(/^HTTP\/1.1 200 /);
  });
});

describe('G3 an upstream that', () => {
  it('stops in the middle of its answer is broken off, and the client sees that', async () => {
    server = await rawServer((socket) =>
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')),
    );
    load(server.url);
    const client = await RawClient.open(gateway.port);
    client.write('GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until(() => client.closed, 'the end');
    expect([client.received.endsWith('half'), client.error]).toEqual([true, 'ECONNRESET']);
    await until(() => server?.sockets[0]?.destroyed, { what: 'the upstream connection to be broken off' });
  });
});
