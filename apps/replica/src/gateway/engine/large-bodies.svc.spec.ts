import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  Agent,
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWith, type Nginx, startNginx, until } from '#harness';
import { definitionOf, placed } from '../../testing/gateway-ops.js';
import { TestGateway } from '../../testing/test-gateway.js';

const MEGABYTE = 1024 * 1024;
/** Twice the same, so that a slice from anywhere in the first half is a body of 20 MB that no other one is. */
const SOURCE = ((half: Buffer): Buffer => Buffer.concat([half, half]))(randomBytes(20 * MEGABYTE));
const bodyOf = (seed: number): Buffer => SOURCE.subarray(seed * 1_000_003, seed * 1_000_003 + 20 * MEGABYTE);
const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
type Framing = 'by length' | 'in chunks';

async function hashOf(stream: Readable): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Writes a body part by part, as they are taken. */
function pump(body: Buffer, stream: Writable): { bytes: number } {
  const sent = { bytes: 0 };
  const next = (): void => {
    const part = body.subarray(sent.bytes, sent.bytes + 50_000 + (sent.bytes % 7919));
    sent.bytes += part.length;
    if (part.length === 0) stream.end();
    else stream.write(part, next);
  };
  next();
  return sent;
}

/** What the upstream does with requests that are to be taken slowly. */
const held: (() => void)[] = [];

/** `POST /hash`: the hash of what came. `GET /body?seed&framing`: such a body. `/slow`: takes nothing of it until it is let. */
function serve(request: IncomingMessage, response: ServerResponse): void {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://upstream');
  const answer = (): void =>
    void hashOf(request).then(
      (hash) => response.end(hash),
      () => response.destroy(),
    );
  if (pathname === '/hash') answer();
  else if (pathname === '/slow') held.push(answer);
  else if (pathname === '/body') {
    const body = bodyOf(Number(searchParams.get('seed')));
    if (searchParams.get('framing') === 'by length') response.setHeader('content-length', body.length);
    pump(body, response);
  } else response.end(request.url);
}

let upstream: Server;

beforeAll(async () => {
  upstream = createServer(serve).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
});

afterAll(() => {
  upstream.closeAllConnections();
  upstream.close();
});

const address = (): string => `127.0.0.1:${(upstream.address() as AddressInfo).port}`;

/** The same through each kind of upstream. @param start what the gateway has for its upstream */
function bodies(start: () => Promise<{ url: string; stop: () => Promise<void> }>): void {
  let gateway: TestGateway;
  let stop: () => Promise<void>;

  beforeAll(async () => {
    const started = await start();
    stop = started.stop;
    const definition = definitionOf({
      security: 'open',
      routes: [{ method: '*', path: '/*' }],
      upstream: { targets: [{ url: started.url }] },
    });
    gateway = await TestGateway.start(placed(definition));
  });

  afterAll(async () => {
    await gateway.stop();
    await stop();
  });

  const open = (method: string, path: string, headers: Record<string, string | number> = {}) =>
    httpRequest({ port: gateway.port, method, path: `/weather/v1${path}`, headers, agent: false });
  const framed = (framing: Framing): Record<string, string | number> =>
    framing === 'by length' ? { 'content-length': 20 * MEGABYTE } : { 'transfer-encoding': 'chunked' };

  async function upload(seed: number, framing: Framing): Promise<string> {
    const request = open('POST', '/hash', framed(framing));
    pump(bodyOf(seed), request);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return String(await response.toArray());
  }

  async function download(seed: number, framing: Framing): Promise<string> {
    const request = open('GET', `/body?seed=${seed}&framing=${encodeURIComponent(framing)}`).end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return hashOf(response);
  }

  /** Small requests, one after the other on one connection, until `over`. @returns how many */
  async function chatter(name: number, over: () => boolean): Promise<number> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    let count = 0;
    for (; !over(); count++) {
      const path = `/weather/v1/${name}/${count}`;
      const request = httpRequest({ port: gateway.port, path, agent }).end();
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      expect(String(await response.toArray())).toBe(`/${name}/${count}`);
    }
    agent.destroy();
    return count;
  }

  it('of 20 MB come whole, up and down, by length and in chunks, all at once and beside small ones', async () => {
    let over = false;
    const talks = [1, 2, 3, 4].map((name) => chatter(name, () => over));
    const kinds: Framing[] = ['by length', 'in chunks', 'by length', 'in chunks'];
    const uploads = await Promise.all(kinds.map((framing, i) => [upload(i, framing), download(i + 4, framing)]).flat());
    over = true;
    expect(uploads).toEqual(kinds.flatMap((_, i) => [sha256(bodyOf(i)), sha256(bodyOf(i + 4))]));
    for (const count of await Promise.all(talks)) expect(count).toBeGreaterThan(3);
    expect(gateway.metrics).toMatchObject({ inFlight: 0, faults: 0 });
    expect(gateway.pools.outstanding).toBe(0);
  });

  describe('G4 that nobody takes', () => {
    /** of this process, without what is only waiting to be collected */
    const used = async (): Promise<number> => {
      setFlagsFromString('--expose-gc');
      const collect = runInNewContext('gc') as () => void;
      // memory beside the heap is given back in the turn after it was found to be free
      for (let i = 0; i < 3; i++) {
        collect();
        await new Promise((resolve) => setImmediate(resolve));
      }
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const standstill = async (moved: () => number): Promise<void> => {
      let before = -1;
      await until(() => before === (before = moved()) && before > 0, { what: 'nothing to move any more', every: 300 });
    };

    it.each(['by length', 'in chunks'] as const)('on the way up, %s, stay with the client', async (framing) => {
      held.length = 0;
      const before = await used();
      const requests = [0, 1, 2, 3].map(() => open('POST', '/slow', framed(framing)));
      const sent = requests.map((request, i) => pump(bodyOf(i), request));
      await standstill(() => sent.reduce((sum, { bytes }) => sum + bytes, 0));
      expect(held).toHaveLength(4);
      // 80 MB are to come; a few parts of each are under way
      expect((await used()) - before).toBeLessThan(8 * MEGABYTE);
      const answers = requests.map(async (request) => {
        const [response] = (await once(request, 'response')) as [IncomingMessage];
        return String(await response.toArray());
      });
      for (const go of held) go();
      expect(await Promise.all(answers)).toEqual([0, 1, 2, 3].map((seed) => sha256(bodyOf(seed))));
    });

    it.each(['by length', 'in chunks'] as const)('on the way down, %s, stay with the upstream', async (framing) => {
      const before = await used();
      const path = (seed: number): string => `/body?seed=${seed}&framing=${encodeURIComponent(framing)}`;
      const requests = [0, 1, 2, 3].map((seed) => open('GET', path(seed)).end());
      const responses = await Promise.all(
        requests.map(async (request) => (await once(request, 'response')) as [IncomingMessage]),
      );
      await standstill(() => gateway.metrics.inFlight);
      await standstill(() => Math.round(process.memoryUsage().external / MEGABYTE));
      expect(gateway.metrics.inFlight).toBe(4);
      expect((await used()) - before).toBeLessThan(8 * MEGABYTE);
      const hashes = await Promise.all(responses.map(([response]) => hashOf(response)));
      expect(hashes).toEqual([0, 1, 2, 3].map((seed) => sha256(bodyOf(seed))));
    });
  });
}

describe('bodies through the gateway to node', () => {
  bodies(async () => ({ url: `http://${address()}`, stop: async () => undefined }));
});

describeWith('nginx', 'bodies through the gateway to nginx', () => {
  bodies(async () => {
    const nginx: Nginx = await startNginx({
      http: `upstream node { server ${address()}; keepalive 8; } client_max_body_size 0;`,
      server: `location / {
        proxy_pass http://node; proxy_http_version 1.1; proxy_set_header Connection '';
        proxy_request_buffering off; proxy_buffering off;
      }`,
    });
    return { url: `http://127.0.0.1:${nginx.port}`, stop: nginx.stop };
  });
});
