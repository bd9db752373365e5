import { once } from 'node:events';
import { Agent, type IncomingMessage, request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { until } from '#harness';
import { RawClient, type RawServer, rawServer } from '../../apps/replica/src/testing/clients.js';
import { definitionOf, placed } from '../../apps/replica/src/testing/gateway-ops.js';
import { TestGateway } from '../../apps/replica/src/testing/test-gateway.js';
import { type AnswerCase, ANSWERS } from './answers.js';

const PROBE = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nprobe';

let gateway: TestGateway;
let upstream: RawServer;
/** what is sent for /a, one after the other; everything else is answered with PROBE */
let pieces: string[];
let ends: boolean;
/** connections, in the order in which they were asked */
let asked: Socket[];
let agent: Agent;

beforeAll(async () => {
  upstream = await rawServer((socket) => {
    socket.setNoDelay(true);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        asked.push(socket);
        if (text.split(' ')[1] === '/a') void answer(socket);
        else socket.write(PROBE);
        text = text.slice(end + 4);
      }
    });
  });
  gateway = await TestGateway.start(
    placed(
      definitionOf({
        security: 'open',
        routes: [{ method: '*', path: '/*' }],
        upstream: { targets: [{ url: upstream.url }], retries: 0, responseTimeoutMs: 5_000 },
      }),
    ),
  );
});

afterAll(async () => {
  await gateway.stop();
  await upstream.close();
});

beforeEach(() => {
  asked = [];
  agent = new Agent({ keepAlive: true, maxSockets: 1 });
});

afterEach(() => agent.destroy());

async function answer(socket: Socket): Promise<void> {
  for (const piece of pieces) {
    socket.write(piece, 'latin1');
    for (let i = 0; i < 3; i++) await turn();
  }
  if (ends) socket.end();
}

/** node's client has its own idea of where answers end. */
async function ask(
  path: string,
  method = 'GET',
  on: Agent | false = agent,
): Promise<{ status: number; body: string } | null> {
  const request = httpRequest({ port: gateway.port, path: `/weather/v1${path}`, method, agent: on }).end();
  request.on('error', () => undefined); // told to whoever waits as well
  try {
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return { status: response.statusCode ?? 0, body: Buffer.concat(await response.toArray()).toString('latin1') };
  } catch {
    return null;
  }
}

async function check(tried: AnswerCase, how: string[]): Promise<void> {
  asked = [];
  pieces = how;
  ends = tried.ends;
  const got = await ask('/a', tried.method);
  if (tried.gets) expect(got).toEqual(tried.gets);
  else expect(got === null || (got.status === 502 && got.body.includes('upstream_failed'))).toBe(true);
  // the same connection of the client, if it is one, and another one
  const probes = [await ask('/probe'), await ask('/probe', 'GET', false)];
  expect(probes).toEqual([
    { status: 200, body: 'probe' },
    { status: 200, body: 'probe' },
  ]);
  expect(asked[1] === asked[0]).toBe(tried.kept);
  if (!tried.kept) await until(() => asked[0]?.destroyed, { what: 'the connection to be closed', every: 2 });
  expect([gateway.metrics.inFlight, gateway.pools.outstanding, gateway.metrics.faults]).toEqual([0, 0, 0]);
}

describe.each(ANSWERS)('G3 an answer with unusual $name', ({ cases }) => {
  it.each(cases)('reaches no other request: $name', async (tried) => {
    await check(tried, [tried.bytes]);
  });

  it.each(cases.filter(({ atOnce, bytes }) => !atOnce && bytes.length < 400))(
    'reaches no other request in pieces: $name',
    async (tried) => {
      await check(tried, [...tried.bytes]);
      for (let at = 1 + (tried.bytes.length % 9); at < tried.bytes.length; at += 20)
        await check(tried, [tried.bytes.slice(0, at), tried.bytes.slice(at)]);
    },
  );
});

describe('G3 bytes that follow an answer', () => {
  it('are no answer to a request that was given the connection, and has not left yet', async () => {
    // ends exactly where a read ends, so that what follows is read after the answer is whole
    const head = (length: number): string => `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`;
    const length = 65_536 - head(65_000).length;
    pieces = [head(length) + 'x'.repeat(length) + 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged'];
    ends = false;
    const client = await RawClient.open(gateway.port);
    client.write(
      'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\nGET /weather/v1/probe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    const text = await client.end();
    expect(text).not.toContain('forged');
    expect(text).toMatch(/probe$/);
    expect(asked).toHaveLength(2);
    expect(asked[1]).not.toBe(asked[0]);
  });
});
