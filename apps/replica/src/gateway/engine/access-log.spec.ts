import { PassThrough, Writable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { type RecordingUpstream, recordingUpstream, until } from '#harness';
import { call } from '../../testing/clients.js';
import { APPLICATION, applicationOp, definitionOf, keyOp, placed } from '../../testing/gateway-ops.js';
import { planOp } from '../../testing/sample-ops.js';
import { TestGateway } from '../../testing/test-gateway.js';
import { type AccessEntry, AccessLog } from './access-log.js';

const KEY = 'hg_live_secret';
let gateway: TestGateway;
let upstream: RecordingUpstream | undefined;

afterEach(async () => {
  await gateway.stop();
  await upstream?.close();
});

describe('AccessLog', () => {
  it('tells of each request in one line, and no secret of it', async () => {
    upstream = await recordingUpstream();
    const out = new PassThrough();
    gateway = new TestGateway(new AccessLog(out, () => 0));
    const definition = definitionOf({
      credential: { query: 'api_key' },
      upstream: { targets: [{ url: upstream.url }] },
    });
    gateway.load(placed(definition), planOp('gold'), applicationOp({ 'weather:v1': 'gold' }), keyOp(KEY));
    await gateway.listen();
    await call(gateway.port, 'GET', `/weather/v1/today?api_key=${KEY}&city=x`, { 'x-request-id': 'r1' });
    await call(gateway.port, 'GET', '/weather/v1/today', { authorization: 'Bearer hg_live_other' });
    const text = await until(() => lines(out, 2), { what: 'two lines' });
    expect(text).not.toMatch(/hg_live|city/);
    const [served, refused] = text.split('\n').map((line) => JSON.parse(line || '{}') as Record<string, unknown>);
    expect(served).toMatchObject({
      time: '1970-01-01T00:00:00.000Z',
      requestId: 'r1',
      method: 'GET',
      path: '/weather/v1/today',
      status: 200,
      code: null,
      api: 'weather:v1',
      route: 'GET /today',
      application: APPLICATION,
      target: upstream.url,
      address: '127.0.0.1',
      totalMs: expect.any(Number) as number,
      upstreamMs: expect.any(Number) as number,
    });
    expect(refused).toMatchObject({
      status: 401,
      code: 'credential_unknown',
      application: null,
      target: null,
      upstreamMs: null,
    });
  });

  it('G4 leaves lines out while nobody takes them, and says how many', async () => {
    gateway = await TestGateway.start();
    const taken: string[] = [];
    let release = (): void => undefined;
    const slow = new Writable({
      highWaterMark: 1,
      write: (chunk, _, done) => {
        taken.push(String(chunk));
        release = done;
      },
    });
    const log = new AccessLog(slow, () => 0);
    const entry = { requestId: 'r', path: '/' } as AccessEntry;
    for (let i = 0; i < 1000; i++) log.write(entry);
    expect(slow.writableLength).toBeLessThan(1000);
    release();
    await until(() => !slow.writableNeedDrain, { what: 'the log to be taken' });
    log.write(entry);
    expect(JSON.parse(taken.at(-1) ?? '')).toMatchObject({ dropped: 999 });
  });
});

function lines(out: PassThrough, count: number): string | null {
  const text = (out.read() as Buffer | null)?.toString() ?? '';
  if (text.split('\n').length > count) return text;
  out.unshift(text);
  return null;
}
