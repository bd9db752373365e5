import { once } from 'node:events';
import { connect } from 'node:http2';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RecordingUpstream, recordingUpstream } from '#harness';
import { systemClock } from '#throttle';
import { call, RawClient } from '../../testing/clients.js';
import { APPLICATION, applicationOp, definitionOf, placed } from '../../testing/gateway-ops.js';
import { planOp } from '../../testing/sample-ops.js';
import { TestGateway } from '../../testing/test-gateway.js';
import { TokenIssuer } from '../../testing/token-issuer.js';

const NOON = Date.parse('2026-05-02T12:00:00Z');
let wall: number;
let issuer: TokenIssuer;
let gateway: TestGateway;
let upstream: RecordingUpstream;

beforeEach(async () => {
  wall = NOON;
  upstream = await recordingUpstream();
  issuer = new TokenIssuer('https://issuer.example', () => NOON);
  gateway = new TestGateway(null, { wallMs: () => wall, monotonicMs: systemClock.monotonicMs });
  const definition = definitionOf({ security: 'jwt', upstream: { targets: [{ url: upstream.url }] } });
  gateway.load(placed(definition), planOp('gold'), applicationOp({ 'weather:v1': 'gold' }));
  gateway.load(issuer.op(), issuer.clientOp(APPLICATION));
  await gateway.listen();
});

afterEach(async () => {
  await gateway.stop();
  await upstream.close();
});

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const code = (text: string): string => /"code":"([a-z_]+)"/.exec(text)?.[1] ?? '';

describe('tokens on the wire', () => {
  it('stay here: the upstream does not get to see them', async () => {
    const answer = await call(gateway.port, 'GET', '/weather/v1/today', bearer(issuer.token()));
    expect(answer.status).toBe(200);
    expect(upstream.requests).toHaveLength(1);
    expect(upstream.requests[0]?.headers).not.toHaveProperty('authorization');
  });

  it('G2 expire, and are revoked, in the middle of a connection', async () => {
    const token = issuer.token({ exp: NOON / 1000 + 10, jti: 'one' });
    const client = await RawClient.open(gateway.port);
    const ask = async (): Promise<string> => {
      client.received = '';
      client.write(`GET /weather/v1/today HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n\r\n`);
      await client.until(() => /\r\n\r\n[^]*(\}|ok)|content-length: 0\r\n\r\n/i.test(client.received), 'an answer');
      return `${client.received.slice(9, 12)} ${code(client.received)}`.trim();
    };
    expect(await ask()).toBe('200');
    wall += 10_000;
    expect(await ask()).toBe('200');
    gateway.load(issuer.revokedOp('one'));
    expect(await ask()).toBe('401 credential_revoked');
    gateway.load(issuer.clientOp(APPLICATION), { ...issuer.revokedOp('one'), value: null });
    expect(await ask()).toBe('200');
    wall += 60_000;
    expect(await ask()).toBe('401 credential_expired');
    client.socket.destroy();
  });

  it('are the same over HTTP/2, stream by stream', async () => {
    await gateway.listenTls();
    const client = connect(`https://127.0.0.1:${gateway.tlsPort}`, { rejectUnauthorized: false });
    const ask = async (token: string): Promise<unknown> => {
      const stream = client.request({ ':path': '/weather/v1/today', ...bearer(token) });
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
      stream.resume();
      await once(stream, 'close');
      return [headers[':status'], headers['www-authenticate']];
    };
    const [good, forged] = [issuer.token(), new TokenIssuer('https://issuer.example', () => NOON).token()];
    expect(await Promise.all([ask(good), ask(forged), ask(good)])).toEqual([
      [200, undefined],
      [401, 'Bearer realm="weather:v1", error="invalid_token"'],
      [200, undefined],
    ]);
    client.destroy();
  });
});
