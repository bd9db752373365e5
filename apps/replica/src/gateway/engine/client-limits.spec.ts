import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RecordingUpstream, recordingUpstream, until } from '#harness';
import type { Definition } from '#model';
import { systemClock } from '#throttle';
import { RawClient } from '../../testing/clients.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';
import { TestGateway } from '../../testing/test-gateway.js';
import type { Limits } from './limits.js';

let gateway: TestGateway;
let upstream: RecordingUpstream;
let client: RawClient | undefined;

beforeEach(async () => {
  upstream = await recordingUpstream();
});

afterEach(async () => {
  client?.socket.destroy();
  await gateway.stop();
  await upstream.close();
});

/** A gateway with other limits than without settings, and a client of it. */
async function open(limits: Partial<Limits>, policies: Definition['policies'] = {}): Promise<RawClient> {
  gateway = new TestGateway(null, systemClock, limits);
  const { url } = upstream;
  const routes = [{ method: '*' as const, path: '/*' }];
  gateway.load(placed(definitionOf({ security: 'open', routes, policies, upstream: { targets: [{ url }] } })));
  await gateway.listen();
  client = await RawClient.open(gateway.port);
  return client;
}

const GET = 'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n';
const statuses = (text: string): string[] => text.match(/HTTP\/1.1 \d+/g) ?? [];

describe('G4 a limit that a setting says:', () => {
  it('bytes of a head', async () => {
    const one = await open({ headBytes: 2048 });
    one.write(`GET /weather/v1/a HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(1900)}\r\n\r\n`);
    await one.has('HTTP/1.1 200');
    one.write(`GET /weather/v1/a HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(2100)}\r\n\r\n`);
    expect(await one.end()).toMatch(/HTTP\/1.1 431 [\s\S]*the head of the request is larger than 2048 bytes/);
  });

  it('bytes of a head, more than usual', async () => {
    const one = await open({ headBytes: 100_000 }, { mock: { status: 200, headers: {}, body: 'ok' } });
    one.write(`GET /weather/v1/a HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(12_000)}\r\n`);
    one.write(`Y: ${'y'.repeat(80_000)}\r\n\r\n`);
    await one.has('HTTP/1.1 200');
  });

  it('bytes of a body whose length is announced: nothing of it goes on', async () => {
    const one = await open({ bodyBytes: 100 }, { maxBodyBytes: 1000 });
    one.write('POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n');
    await one.has('the body may have 100 bytes at most');
    expect([statuses(one.received), upstream.requests]).toEqual([['HTTP/1.1 413'], []]);
  });

  it('bytes of a body in chunks', async () => {
    const one = await open({ bodyBytes: 100 });
    one.write('POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let i = 0; i < 11; i++) one.write(`a\r\n0123456789\r\n`);
    expect(await one.end()).toMatch(/^HTTP\/1.1 413 [\s\S]*the body may have 100 bytes at most/);
    await until(() => gateway.metrics.inFlight === 0, { what: 'the request to be over' });
  });

  it('a policy may allow less', async () => {
    const one = await open({ bodyBytes: 100 }, { maxBodyBytes: 10 });
    one.write('POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n');
    await one.has('the body may have 10 bytes at most');
  });

  it('requests of one connection: the last answer says that it is the last', async () => {
    const one = await open({ requests: 2 });
    one.write(GET + GET + GET);
    const received = await one.end();
    expect(statuses(received)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200']);
    expect(received.match(/Connection: close/g)).toHaveLength(1);
  });

  it('requests that are sent ahead', async () => {
    const one = await open({ pipelined: 3 });
    one.write(GET.repeat(4));
    await until(() => statuses(one.received).length === 4, { what: 'four answers' });
    upstream.fault = { kind: 'delay', ms: 300 };
    one.write(GET.repeat(5));
    await one.until(() => one.closed, 'the end');
    expect(statuses(one.received)).toHaveLength(4);
  });

  it('connections: those that are one too many are closed, and others take the place of those that end', async () => {
    const first = await open({ connections: 2 });
    const second = await RawClient.open(gateway.port);
    await until(() => gateway.metrics.connections === 2, { what: 'both connections' });
    const third = await RawClient.open(gateway.port);
    expect(await third.end()).toBe('');
    second.socket.destroy();
    await until(() => gateway.metrics.connections === 1, { what: 'one to have gone' });
    const fourth = await RawClient.open(gateway.port);
    for (const one of [first, fourth]) await one.write(GET).has('HTTP/1.1 200');
    fourth.socket.destroy();
  });
});
