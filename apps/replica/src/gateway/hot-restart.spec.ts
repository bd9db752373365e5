import { Agent, type IncomingMessage, request as httpRequest } from 'node:http';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeCertificate, type RecordingUpstream, recordingUpstream, until } from '#harness';
import { createLog, type Logger } from '#platform';
import { call, RawClient } from '../testing/clients.js';
import { compiledPool } from '../testing/compiled-pool.js';
import { applicationOp, definitionOf, keyOp, placed } from '../testing/gateway-ops.js';
import { planOp } from '../testing/sample-ops.js';
import { certificateOf } from '../testing/test-gateway.js';
import { StateFixture } from '../testing/state-fixture.js';
import { WORKER_SETTINGS } from '../testing/worker-settings.js';
import { LIMITS } from './engine/limits.js';
import type { CertificateWatch } from './tls/certificate-watch.js';
import type { WorkerPoolOptions } from './pool-options.js';
import type { WorkerPool } from './worker-pool.js';

const KEY = 'hg_live_test';
const SILENT = createLog('test', 'silent');
let Pool: typeof WorkerPool;
let state: StateFixture;
let upstream: RecordingUpstream;
let pool: WorkerPool;
let port: number;

beforeAll(async () => {
  Pool = await compiledPool();
});

beforeEach(async () => {
  state = new StateFixture();
  upstream = await recordingUpstream();
});

afterEach(async () => {
  await pool.stop(500);
  await upstream.close();
  await state.end();
});

/** @param plan of the one customer */
async function start(
  plan: object = { rate: null, quota: null },
  workers = 2,
  log = SILENT,
  tls: WorkerPoolOptions['tls'] = null,
): Promise<void> {
  await state.apply(
    ...placed(definitionOf({ upstream: { targets: [{ url: upstream.url }] } })),
    planOp('gold', plan),
    applicationOp({ 'weather:v1': 'gold' }),
    keyOp(KEY),
  );
  const { directory: stateDir } = state;
  pool = new Pool({ ...WORKER_SETTINGS, workers, port: 0, host: '127.0.0.1', stateDir, region: 'eu-west', log, tls });
  port = await pool.start();
}

const get = () => call(port, 'GET', '/weather/v1/today', { 'x-api-key': KEY });
const serving = () => pool.status().filter(({ listening }) => listening);
const pids = () => serving().map(({ pid }) => pid ?? 0);
const settled = () => until(() => pool.status().length === serving().length, { what: 'the old workers to end' });

const faultOf = (outcome: Promise<void>): Promise<string> =>
  outcome.then(
    () => 'none',
    (error: unknown) => (error as Error).message,
  );

/** Clients that ask all the time, and what they were answered. */
class Load {
  readonly results: string[] = [];
  private done = false;
  private readonly clients: Promise<void>[];

  /** @param kept on connections that are used again, and on one for each request */
  constructor(kept: number, single: number) {
    this.clients = [
      ...Array.from({ length: kept }, () => this.run(new Agent({ keepAlive: true, maxSockets: 1 }))),
      ...Array.from({ length: single }, () => this.run(false)),
    ];
  }

  more(count: number): Promise<unknown> {
    const { length } = this.results;
    return until(() => this.results.length >= length + count, { what: 'more load' });
  }

  /** @returns how often it was what */
  async stop(): Promise<Record<string, number>> {
    this.done = true;
    await Promise.all(this.clients);
    const counts: Record<string, number> = {};
    for (const result of this.results) counts[result] = (counts[result] ?? 0) + 1;
    return counts;
  }

  private async run(agent: Agent | false): Promise<void> {
    while (!this.done) this.results.push(await this.ask(agent));
    if (agent) agent.destroy();
  }

  /** Of nothing older than what is acknowledged when it is asked. */
  private async ask(agent: Agent | false): Promise<string> {
    const served = pool.servedRevision();
    const headers = { 'x-api-key': KEY, 'heliograph-min-revision': `prod@${Number.isFinite(served) ? served : 1}` };
    try {
      const request = httpRequest({ agent, port, host: '127.0.0.1', path: '/weather/v1/today', headers }).end();
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      await response.toArray();
      return `${response.statusCode}`;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? String(error);
    }
  }
}

describe('new workers in the place of those that serve', () => {
  it('G2 refuse no connection, drop no request, and answer by nothing older than was acknowledged, under load', async () => {
    await start();
    const load = new Load(6, 4);
    await load.more(200);
    const first = pids();
    for (let i = 0; i < 3; i++) {
      const renewed = pool.renew(WORKER_SETTINGS);
      await state.apply(planOp(`plan-${i}`)); // a revision comes while they start
      pool.announce();
      await renewed;
      await state.apply(planOp(`more-${i}`)); // and while the old ones end
      pool.announce();
      await load.more(300);
    }
    expect(pids().filter((pid) => first.includes(pid))).toEqual([]);
    expect(Object.keys(await load.stop())).toEqual(['200']);
    expect(upstream.requests).toHaveLength(load.results.length);
    await settled();
    await until(() => pool.loadedRevision() === 7, { what: 'the last revision in every worker' });
  });

  it('G2 leave the old ones the time that their requests need', async () => {
    await start();
    upstream.fault = { kind: 'delay', ms: 1500 };
    const slow = get();
    await until(() => upstream.requests.length === 1, { what: 'the request to arrive' });
    upstream.fault = undefined;
    await pool.renew(WORKER_SETTINGS);
    expect((await get()).status).toBe(200);
    expect((await slow).status).toBe(200);
    await settled();
    expect(serving()).toHaveLength(2);
  });

  it('G2 leave the old ones the clients that are in their TLS handshakes', async () => {
    const certificates = [certificateOf(makeCertificate({ names: ['localhost'] }))];
    const watch = { certificates, onChange: () => undefined } as CertificateWatch;
    await start(undefined, 1, SILENT, { port: 0, certificates: watch });
    const sockets = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const socket = connectTcp(pool.tlsPort ?? 0, '127.0.0.1');
        await once(socket, 'connect');
        return socket;
      }),
    );
    await pool.renew({ ...WORKER_SETTINGS, workers: 1 });
    await new Promise((resolve) => setTimeout(resolve, 1000)); // when the old one has heard of it
    const answers = sockets.map(async (socket) => {
      const secure = connectTls({ socket, rejectUnauthorized: false });
      secure.write(`GET /weather/v1/today HTTP/1.1\r\nHost: a\r\nX-API-Key: ${KEY}\r\nConnection: close\r\n\r\n`);
      const answer = (await buffer(secure)).toString();
      secure.end();
      return answer.split('\r\n', 1)[0];
    });
    expect(new Set(await Promise.all(answers))).toEqual(new Set(['HTTP/1.1 200 OK']));
    await settled();
  });

  it('G2 an idle connection gets its next answer, and is told that it is the last one', async () => {
    await start();
    const client = await RawClient.open(port);
    const ask = `GET /weather/v1/today HTTP/1.1\r\nHost: a\r\nX-API-Key: ${KEY}\r\n\r\n`;
    await client.write(ask).has('HTTP/1.1 200');
    await pool.renew(WORKER_SETTINGS);
    await new Promise((resolve) => setTimeout(resolve, 1000)); // idle for longer than when the gateway ends
    client.write(ask);
    expect((await client.end()).match(/HTTP\/1.1 200|Connection: close/g)).toEqual([
      'HTTP/1.1 200',
      'HTTP/1.1 200',
      'Connection: close',
    ]);
  });

  it('have the settings that they are given, and are as many as these say', async () => {
    await start();
    await pool.renew({ ...WORKER_SETTINGS, workers: 1, limits: { ...LIMITS, headBytes: 2048 } });
    expect(serving()).toHaveLength(1);
    await settled(); // an old one answers what it took before it heard of its end
    const headers = { 'x-api-key': KEY, 'x-long': 'x'.repeat(3000) };
    expect((await call(port, 'GET', '/weather/v1/today', headers)).status).toBe(431);
    await pool.renew({ ...WORKER_SETTINGS, workers: 3 });
    expect(serving()).toHaveLength(3);
    await settled();
    expect((await call(port, 'GET', '/weather/v1/today', headers)).status).toBe(200);
  });

  it('T1 spend what is left of a limit, and not the whole of it again', async () => {
    await start({ rate: { limit: 20, per: 'hour' }, quota: { limit: 30, per: 'month' } });
    for (let i = 0; i < 8; i++) expect((await get()).status).toBe(200);
    await pool.renew(WORKER_SETTINGS);
    await settled(); // what the old ones were lent came back
    const answers = await Promise.all(Array.from({ length: 30 }, get));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(12);
  });

  it('that do not come to serve change nothing', async () => {
    await start();
    const before = pids();
    const load = new Load(2, 2);
    const renewed = pool.renew({ ...WORKER_SETTINGS, workers: 1, limits: { ...LIMITS, headBytes: 2048 } });
    const failed = faultOf(renewed);
    const fresh = pool.status().find(({ pid }) => !before.includes(pid ?? 0));
    process.kill(fresh?.pid ?? 0, 'SIGKILL');
    expect(await failed).toMatch(/^a gateway worker ended while it started \(SIGKILL\)/);
    await load.more(50);
    expect(Object.keys(await load.stop())).toEqual(['200']);
    expect(pids()).toEqual(before);
    await pool.renew(WORKER_SETTINGS);
    expect(pids()).toHaveLength(2);
  });

  it('come one time after the other, and not while the gateway ends', async () => {
    await start();
    const renewed = pool.renew(WORKER_SETTINGS);
    await expect(pool.renew(WORKER_SETTINGS)).rejects.toThrow('getting new workers already');
    const stopped = faultOf(renewed);
    const all = pool.status().map(({ pid }) => pid ?? 0);
    expect(all).toHaveLength(4);
    await pool.stop(1000);
    expect(await stopped).toBe('the gateway was stopped');
    expect(pool.status()).toEqual([]);
    await expect(get()).rejects.toThrow('ECONNREFUSED');
  });
});

describe('a worker that dies', () => {
  it('G2 takes with it what it has under way, and nobody is refused, though it was the only one', async () => {
    await start({ rate: null, quota: null }, 1);
    const load = new Load(4, 4);
    for (let i = 0; i < 4; i++) {
      await load.more(100);
      const [pid = 0] = pids();
      process.kill(pid, 'SIGKILL');
      await state.apply(planOp(`plan-${i}`)); // a revision comes while nobody serves
      pool.announce();
      await until(() => pids()[0] !== undefined && pids()[0] !== pid, { what: 'a new worker' });
    }
    await load.more(100);
    const { '200': served = 0, ECONNRESET: lost = 0, ...others } = await load.stop();
    expect(others).toEqual({});
    expect(served).toBeGreaterThan(500);
    expect(lost).toBeLessThanOrEqual(4 * 8);
    await until(() => pool.loadedRevision() === 5, { what: 'the last revision in the last worker' });
  });

  it('G4 again and again is started after ever longer pauses, which the log tells; the others go on', async () => {
    const pauses: number[] = [];
    const log = {
      level: 'silent',
      error: ({ pauseMs }: { pauseMs: number }, text: string) =>
        text === 'a gateway worker died and is replaced' && pauses.push(pauseMs),
      warn: () => undefined,
    } as unknown as Logger;
    await start({ rate: null, quota: null }, 2, log);
    const [steady = 0] = pids();
    const load = new Load(2, 0);
    for (let i = 1; i <= 6; i++) {
      const other = await until(() => pool.status().find(({ pid }) => pid !== steady)?.pid, { what: 'the other one' });
      process.kill(other, 'SIGKILL');
      await until(() => pauses.length === i, { what: 'its end to be told', every: 5 });
    }
    expect(Math.max(...pauses)).toBeLessThanOrEqual(10_000);
    expect((pauses[4] ?? 0) + (pauses[5] ?? 0)).toBeGreaterThan((pauses[0] ?? 0) + (pauses[1] ?? 0));
    expect(pids()).toContain(steady);
    const asked = load.results.length;
    await load.more(20);
    expect(load.results.slice(asked)).not.toContain('ECONNREFUSED');
    await load.stop();
    await until(() => pids().length === 2, { what: 'both workers' });
  });
});
