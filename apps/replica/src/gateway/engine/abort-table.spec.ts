import type { Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { until } from '#harness';
import { systemClock } from '#throttle';
import { RawClient, type RawServer, rawServer } from '../../testing/clients.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';
import { TestGateway } from '../../testing/test-gateway.js';

// the times that no setting says, made short
vi.mock('./bounds.js', async (original) => {
  const { BOUNDS } = await original<typeof import('./bounds.js')>();
  return { BOUNDS: { ...BOUNDS, sweepMs: 20, lingerMs: 100, tunnelIdleMs: 300, upstreamStallMs: 300 } };
});

const GET = 'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n';
const post = (fields: string, body = ''): string =>
  `POST /weather/v1/a HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n${body}`;
const CHUNKS = post('Transfer-Encoding: chunked', 'a\r\nhalf');
const LONG = `HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf`;
const UPGRADE = 'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhalf';

/** How far a request has come when somebody goes away. */
interface Phase {
  name: string;
  /** what the client has sent */
  sent: string;
  /** what the upstream has sent; undefined: it was not asked */
  said?: string;
  /** what of it has to be there; the client then knows of an answer */
  got?: string;
}

const PHASES: Phase[] = [
  { name: 'before a request', sent: '' },
  { name: 'in a head', sent: GET.slice(0, 30) },
  { name: 'in a small body', sent: post('Content-Length: 10', 'half') },
  { name: 'after 100', sent: post('Expect: 100-continue\r\nContent-Length: 10'), got: '100 Continue' },
  { name: 'in a large body', sent: post('Content-Length: 100000', 'some'), said: '' },
  { name: 'in a chunk', sent: CHUNKS, said: '' },
  { name: 'before the answer', sent: GET, said: '' },
  { name: 'before the answer to a body', sent: post('Content-Length: 4', 'body'), said: '' },
  { name: 'between interim answers', sent: GET, said: 'HTTP/1.1 103 Early Hints\r\n\r\n' },
  { name: 'in the head of the answer', sent: GET, said: 'HTTP/1.1 200 OK\r\nContent-' },
  { name: 'in an answer by length', sent: GET, said: LONG, got: 'half' },
  {
    name: 'in an answer in chunks',
    sent: GET,
    said: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf',
    got: 'half',
  },
  { name: 'in an answer that the connection ends', sent: GET, said: 'HTTP/1.1 200 OK\r\n\r\nhalf', got: 'half' },
  { name: 'in body and answer at once', sent: CHUNKS, said: LONG, got: 'half' },
  { name: 'in a tunnel', sent: UPGRADE, said: SWITCH, got: 'half' },
];

type How = 'ends in order' | 'goes away' | 'resets' | 'says nothing more';

let gateway: TestGateway;
let server: RawServer;
let said: string;

/**
 * One gateway for the tests of a suite. Who says nothing more is waited for, and not for long. Whoever goes by himself is
 * to be there until then, also where the machine is slow.
 */
function gatewayFor(how: How): void {
  const [headMs, timeoutMs] = how === 'says nothing more' ? [500, 300] : [30_000, 10_000];
  beforeAll(async () => {
    server = await rawServer((socket) => socket.once('data', () => socket.write(said)));
    gateway = new TestGateway(null, systemClock, { headMs, stallMs: 300, idleMs: 500 });
    const targets = [{ url: server.url }];
    const upstream = { targets, retries: 0, connectTimeoutMs: timeoutMs, responseTimeoutMs: timeoutMs };
    const routes = [{ method: '*' as const, path: '/*' }];
    gateway.load(placed(definitionOf({ security: 'open', routes, upstream })));
    await gateway.listen();
  });
  afterAll(async () => {
    await gateway.stop();
    await server.close();
  });
}

function leave(socket: Socket | undefined, how: How): void {
  if (how === 'ends in order') socket?.end();
  else if (how === 'goes away') socket?.destroy();
  else if (how === 'resets') socket?.resetAndDestroy();
}

const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;

/** Everything that a request can leave behind. */
const left = (): number[] => [
  gateway.metrics.connections,
  gateway.metrics.inFlight,
  gateway.pools.outstanding,
  server.sockets.filter((socket) => !socket.destroyed).length,
];

async function bring({ sent, said: answer, got }: Phase): Promise<RawClient> {
  said = answer ?? '';
  server.sockets.length = 0;
  const { accepted } = gateway.metrics;
  const client = await RawClient.open(gateway.port);
  client.write(sent);
  await until(() => gateway.metrics.accepted > accepted, { what: 'the connection to be counted', every: 1 });
  if (answer !== undefined)
    await until(() => server.sockets[0]?.bytesRead, { what: 'the upstream to be asked', every: 1 });
  if (got !== undefined) await client.has(got);
  return client;
}

async function nothingLeft(before: number): Promise<void> {
  await until(() => left().join() === '0,0,0,0', { what: 'nothing to be left', every: 2 }).catch(() => undefined);
  expect(left()).toEqual([0, 0, 0, 0]);
  await until(() => sockets() <= before, { what: `the process to have ${before} sockets again`, every: 2 });
  expect(gateway.metrics.faults).toBe(0);
}

async function clientLeaves(phase: Phase, how: How): Promise<void> {
  const before = sockets();
  const client = await bring(phase);
  leave(client.socket, how);
  await nothingLeft(before);
  await until(() => client.closed, { what: 'the client to be closed', every: 1 });
}

async function upstreamLeaves(phase: Phase, how: How): Promise<void> {
  const before = sockets();
  const client = await bring(phase);
  leave(server.sockets[0], how);
  // an answer that has begun can only be broken off; before it the client is told: of itself, where it owes a body
  const told = (): boolean => /HTTP\/1\.1 (?:502|504|408) /.test(client.received);
  if (phase.got !== undefined) await client.until(() => client.closed, 'the end').catch(() => undefined);
  else await client.until(told, '502, 504 or 408');
  expect(client.closed || told()).toBe(true);
  client.socket.destroy();
  await nothingLeft(before);
}

const HOWS: How[] = ['ends in order', 'goes away', 'resets', 'says nothing more'];
const ASKED = PHASES.filter((phase) => phase.said !== undefined);

describe.each(HOWS)('G4 a client that %s', (how) => {
  gatewayFor(how);
  it.each(PHASES)('$name leaves nothing behind', (phase) => clientLeaves(phase, how));
});

describe.each(HOWS)('G3 an upstream that %s', (how) => {
  gatewayFor(how);
  it.each(ASKED)('$name leaves nothing behind', (phase) => upstreamLeaves(phase, how));
});

describe('G4 all of them', () => {
  gatewayFor('goes away');
  it('again and again take no memory', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const used = async (): Promise<number> => {
      for (let i = 0; i < 3; i++) {
        await new Promise((resolve) => setImmediate(resolve));
        collect();
      }
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const round = async (): Promise<void> => {
      for (const how of ['goes away', 'resets'] as const) {
        for (const phase of PHASES) await clientLeaves(phase, how);
        for (const phase of ASKED) await upstreamLeaves(phase, how);
      }
    };
    for (let i = 0; i < 3; i++) await round();
    const before = await used();
    for (let i = 0; i < 10; i++) await round();
    // 560 connections and 420 requests: what each of them keeps would be seen from about a kilobyte on
    expect((await used()) - before).toBeLessThan(1024 * 1024);
  });
});
