import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, constants } from 'node:fs';
import { connect } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RecordingUpstream, recordingUpstream, until } from '#harness';
import { call, exchange } from '../../testing/clients.js';
import { APPLICATION, applicationOp, definitionOf, keyOp, placed } from '../../testing/gateway-ops.js';
import { planOp } from '../../testing/sample-ops.js';
import { TestGateway } from '../../testing/test-gateway.js';
import { type AccessEntry, AccessLog } from './access-log.js';
import { LineSink } from './line-sink.js';

const KEY = 'hg_live_secret_12';
let directory: string;
let file: string;
let fd: number;
let gateway: TestGateway | undefined;
let upstream: RecordingUpstream | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'helio-log-'));
  file = join(directory, 'log');
  fd = openSync(file, 'a');
});

afterEach(async () => {
  await gateway?.stop();
  await upstream?.close();
  gateway = upstream = undefined;
  closeSync(fd);
  rmSync(directory, { recursive: true });
});

const logTo = (sink: LineSink, share = 1): AccessLog =>
  new AccessLog(
    sink,
    share,
    () => 0.5,
    () => 0,
  );
const entry = { requestId: 'r', path: '/', status: 200, totalMs: 1 } as AccessEntry;
type Line = Record<string, unknown>;
const parsed = (text: string): Line[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);

function lines(count: number): Promise<Line[]> {
  return until(
    () => {
      const all = parsed(readFileSync(file, 'utf8'));
      return all.length >= count ? all : null;
    },
    { what: `${count} lines` },
  );
}

async function start(log: AccessLog, tls = false): Promise<TestGateway> {
  upstream = await recordingUpstream();
  gateway = new TestGateway(log);
  const definition = definitionOf({ credential: { query: 'api_key' }, upstream: { targets: [{ url: upstream.url }] } });
  gateway.load(placed(definition), planOp('gold'), applicationOp({ 'weather:v1': 'gold' }), keyOp(KEY));
  await gateway.listen();
  if (tls) await gateway.listenTls();
  return gateway;
}

describe('AccessLog', () => {
  it('tells of each request in one line, and no secret of it', async () => {
    const { port } = await start(logTo(new LineSink(fd)));
    await call(port, 'GET', `/weather/v1/today?api_key=${KEY}&city=x`, { 'x-request-id': 'r1' });
    await call(port, 'GET', '/weather/v1/today', { authorization: 'Bearer hg_live_other' });
    const [served, refused] = await lines(2);
    expect(readFileSync(file, 'utf8')).not.toMatch(/hg_live|city/);
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
      target: upstream?.url,
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

  it('tells of what was no HTTP, too, and leaves keys out that stand where they do not belong', async () => {
    const { port } = await start(logTo(new LineSink(fd)));
    await exchange(port, `GET /weather/v1/today HTTP/1.1\r\nX-API-Key: ${KEY}\r\nHost: a\r\nHost: b\r\n\r\n`);
    await call(port, 'GET', `/weather/v1/${KEY}`, { 'x-request-id': KEY });
    const [malformed, misplaced] = await lines(2);
    expect(malformed).toMatchObject({ method: null, path: null, status: 400, code: 'bad_request', api: null });
    expect(malformed?.['requestId']).toMatch(/^[0-9a-f-]{36}$/);
    expect(misplaced).toMatchObject({ path: '/weather/v1/hg_***', requestId: 'hg_***', status: 404 });
  });

  it('tells who calls what by gRPC, which is refused', async () => {
    const { tlsPort, metrics } = await start(logTo(new LineSink(fd)), true);
    const client = connect(`https://127.0.0.1:${tlsPort}`, { rejectUnauthorized: false });
    const fields = { 'content-type': 'application/grpc', 'x-request-id': 'mine' };
    client
      .request({ ':method': 'POST', ':path': '/weather/v1/today?a=b', ...fields })
      .resume()
      .end();
    const [line] = await lines(1);
    client.destroy();
    const refused = { status: 501, code: 'bad_request', api: 'weather:v1', address: '127.0.0.1' };
    expect(line).toMatchObject({ requestId: 'mine', method: 'POST', path: '/weather/v1/today', ...refused });
    expect(metrics.inFlight).toBe(0);
  });

  it('tells of a share of the requests when told so, and of every failure', () => {
    const draws = [0.4, 0.05, 0.9];
    const log = new AccessLog(
      new LineSink(fd),
      0.1,
      () => draws.shift() ?? 0,
      () => 0,
    );
    const drawn = [
      log.takes(200, null),
      log.takes(404, 'no_such_api'),
      log.takes(503, null),
      log.takes(501, 'bad_request'),
    ];
    expect(drawn).toEqual([false, true, true, false]);
  });

  it('says of what share a line is', async () => {
    const log = logTo(new LineSink(fd), 0.1);
    log.write(entry);
    log.write({ ...entry, code: null, status: 502 });
    const [drawn, failure] = await lines(2);
    expect([drawn?.['share'], failure?.['share']]).toEqual([0.1, undefined]);
  });

  it('G4 leaves lines out while a full pipe is not read, says how many, and mixes up none', async () => {
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const end = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
    const log = logTo(new LineSink(end));
    const sent = 50_000;
    for (let i = 0; i < sent; i++) log.write(entry);
    expect(log.dropped).toBeGreaterThan(sent / 2);
    const { dropped } = log;
    let text = '';
    const buffer = Buffer.alloc(65_536);
    const read = (): boolean => {
      try {
        text += buffer.toString('latin1', 0, readSync(end, buffer));
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('EAGAIN');
      }
      return text.endsWith('\n') && parsed(text).length === sent - dropped;
    };
    await until(read, { what: 'the rest to be written', every: 5 });
    log.write(entry);
    await log.flush(1000);
    read();
    expect(parsed(text).at(-1)).toMatchObject({ dropped });
    closeSync(end);
  });

  it('G4 leaves lines out that a full disk does not take, and goes on', async () => {
    const full = openSync('/dev/full', 'w');
    const log = logTo(new LineSink(full));
    log.write(entry);
    log.write(entry);
    await until(() => log.dropped === 2, { what: 'the lines to be counted' });
    closeSync(full);
  });
});
