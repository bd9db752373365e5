import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request as httpRequest } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { freePorts, pauseProcess, readExposition, type RecordingUpstream, recordingUpstream, until } from '#harness';
import type { Op } from '#model';
import { createLog } from '#platform';
import { planOp } from '../testing/sample-ops.js';
import { StateFixture } from '../testing/state-fixture.js';
import { call } from '../testing/clients.js';
import { COMPILED_POOL, compiledPool } from '../testing/compiled-pool.js';
import { applicationOp, definitionOf, keyOp, placed, SUBSCRIPTION } from '../testing/gateway-ops.js';
import { WORKER_SETTINGS } from '../testing/worker-settings.js';
import type { WorkerPoolOptions } from './pool-options.js';
import type { WorkerPool } from './worker-pool.js';

const KEY = 'hg_live_test';
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
  await pool.stop(1000);
  await upstream.close();
  await state.end();
});

function newPool(more: Partial<WorkerPoolOptions> = {}): WorkerPool {
  return new Pool({
    ...WORKER_SETTINGS,
    port: 0,
    host: '127.0.0.1',
    stateDir: state.directory,
    region: 'eu-west',
    log: createLog('test', 'silent'),
    ...more,
  });
}

async function start(more: Partial<WorkerPoolOptions> = {}): Promise<void> {
  const [own] = await freePorts(1);
  pool = newPool({ port: own, ...more });
  port = await pool.start();
}

const weather = (): Op[] => placed(definitionOf({ upstream: { targets: [{ url: upstream.url }] } }));
const customer = (): Op[] => [applicationOp({ 'weather:v1': 'gold' }), keyOp(KEY)];
const get = () => call(port, 'GET', '/weather/v1/today', { 'x-api-key': KEY });
const revision = (number: number) =>
  until(() => pool.loadedRevision() === number, { what: `revision ${number} in every worker`, every: 5 });
const listening = () => pool.status().filter((worker) => worker.listening);

function gone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

describe('WorkerPool', () => {
  it('answers 503 from an empty state, and serves a revision as soon as it is told', async () => {
    await start();
    expect(pool.loadedRevision()).toBe(0);
    expect(await get()).toMatchObject({ status: 503, code: 'not_ready' });
    await state.apply(...weather(), planOp('gold'), ...customer());
    pool.announce();
    await revision(1);
    expect((await get()).status).toBe(200);
    expect(pool.status()).toMatchObject([
      { listening: true, revision: 1 },
      { listening: true, revision: 1 },
    ]);
  });

  it('serves what is on the disk when it starts', async () => {
    await state.apply(...weather(), planOp('gold'), ...customer());
    await start();
    expect(pool.loadedRevision()).toBe(1);
    expect((await get()).status).toBe(200);
  });

  it('says which port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const taken = (other.address() as { port: number }).port;
    pool = newPool({ port: taken });
    await expect(pool.start()).rejects.toThrow(`the gateway port ${taken} is taken`);
    expect(pool.status()).toEqual([]);
    other.close();
  });

  it('says what else keeps a worker from starting', async () => {
    pool = newPool({ stateDir: `${state.directory}/nowhere` });
    await expect(pool.start()).rejects.toThrow(/^a gateway worker could not start: /);
    expect(pool.status()).toEqual([]);
  });

  it('T1 admits exactly the limit of a quick burst, over all workers', async () => {
    await state.apply(...weather(), planOp('gold', { rate: { limit: 10, per: 'hour' }, quota: null }), ...customer());
    await start();
    const answers = await Promise.all(Array.from({ length: 30 }, get));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(20);
    expect(upstream.requests).toHaveLength(10);
  });

  it('G2 serves nothing of a revision before it serves all of it, under load', async () => {
    await state.apply(planOp('gold'));
    await start();
    const rounds = 60;
    const id = (i: number, tail: string): string => `0b5ad1ce-8f0d-4a35-9d7e-${tail}${String(i).padStart(10, '0')}`;
    /** what is being applied; clients ask for it and for the next one */
    let current = 0;
    let done = false;
    const seen = new Map<string, number>();
    const client = async (): Promise<void> => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      // of one connection, and so of one worker: what was served once stays served
      let served = -1;
      for (let i = 0; !done; i++) {
        const round = current + (i % 2);
        const { status, code } = await keptCall(agent, `/api-${round}/today`, `key-${round}`);
        const result = `${status} ${code ?? ''}`.trim();
        seen.set(result, (seen.get(result) ?? 0) + 1);
        if (status === 200) served = Math.max(served, round);
        else if (round <= served) seen.set('went back', 1);
      }
      agent.destroy();
    };
    const clients = Array.from({ length: 8 }, client);
    for (let i = 0; i < rounds; i++) {
      current = i;
      const api = definitionOf({
        name: `api-${i}`,
        context: `/api-${i}`,
        plans: [`plan-${i}`],
        upstream: { targets: [{ url: upstream.url }] },
      });
      const subscriptions = [{ id: id(i, 'f1'), api: `api-${i}:v1` as const, plan: `plan-${i}` }];
      await state.apply(
        ...placed(api),
        planOp(`plan-${i}`, { rate: { limit: 1_000_000, per: 'second' }, quota: null }),
        applicationOp({}, id(i, 'a1'), { subscriptions }),
        keyOp(`key-${i}`, { application: id(i, 'a1') }),
      );
      pool.announce();
      await revision(i + 2);
    }
    done = true;
    await Promise.all(clients);
    expect([...seen.keys()].sort()).toEqual(['200', '404 no_such_api']);
  });

  it('replaces a worker that was killed, and the others go on meanwhile', async () => {
    await state.apply(...weather(), planOp('gold'), ...customer());
    await start();
    const [first, second] = listening();
    if (!first?.pid || !second?.pid) throw new Error('two workers were expected');
    let done = false;
    const results: string[] = [];
    const client = async (): Promise<void> => {
      while (!done)
        results.push(
          await get().then(
            ({ status }) => `${status}`,
            (error: unknown) => (error as NodeJS.ErrnoException).code ?? String(error),
          ),
        );
    };
    const clients = Array.from({ length: 6 }, client);
    await until(() => results.length > 50, { what: 'load' });
    process.kill(first.pid, 'SIGKILL');
    await until(() => listening().length === 2 && listening().every(({ pid }) => pid !== first.pid), {
      what: 'a new worker',
    });
    const replaced = results.length;
    await until(() => results.length > replaced + 200, { what: 'more load' });
    done = true;
    await Promise.all(clients);
    expect(listening().map(({ pid }) => pid)).toContain(second.pid);
    // what the dead worker had under way is lost, one request a client at most; everything else is answered
    const lost = results.filter((result) => result !== '200');
    expect(new Set(lost)).toEqual(new Set(lost.length > 0 ? ['ECONNRESET'] : []));
    expect(lost.length).toBeLessThanOrEqual(clients.length);
    expect(results.slice(replaced).filter((result) => result !== '200')).toEqual([]);
    expect(pool.loadedRevision()).toBe(1);
  });

  it('counts a revision as served when no worker answers by an older one any more, and a dead one as nobody', async () => {
    await state.apply(...weather(), planOp('gold'), ...customer());
    await start();
    const told: number[] = [];
    pool.onServed = () => void told.push(pool.servedRevision());
    const [first] = listening();
    if (!first?.pid) throw new Error('two workers were expected');
    await pauseProcess(first.pid); // it still has the port, and may answer what comes there by what it has
    for (let i = 2; i <= 4; i++) {
      await state.apply(planOp(`plan-${i}`));
      pool.announce();
    }
    await until(() => pool.status()[1]?.revision === 4, { what: 'revision 4 in the other worker', every: 5 });
    expect([pool.servedRevision(), pool.loadedRevision()]).toEqual([1, 1]);
    process.kill(first.pid, 'SIGKILL');
    await until(() => told.at(-1) === 4, { what: 'revision 4 to be served', every: 5 });
    await until(() => listening().length === 2, { what: 'a new worker' });
    expect(pool.servedRevision()).toBe(4);
  });

  it('goes over to the newest of all revisions that came while a worker loaded one', async () => {
    await start({ workers: 1 });
    for (let i = 1; i <= 30; i++) {
      await state.apply(planOp(`plan-${i}`));
      pool.announce();
      pool.announce();
    }
    await revision(30);
  });

  it('holds nobody up while there is no worker at all', async () => {
    await state.apply(...weather(), planOp('gold'), ...customer());
    await start({ workers: 1 });
    const [worker] = listening();
    process.kill(worker?.pid ?? 0, 'SIGKILL');
    await until(() => pool.servedRevision() === Number.POSITIVE_INFINITY, { what: 'nobody to serve', every: 1 });
    expect(pool.loadedRevision()).toBe(0);
    await state.apply(planOp('silver'));
    pool.announce();
    await revision(2);
  });

  it('comes back on its port when its only worker was killed', async () => {
    await state.apply(...weather(), planOp('gold'), ...customer());
    await start({ workers: 1 });
    const [worker] = listening();
    process.kill(worker?.pid ?? 0, 'SIGKILL');
    await until(() => listening().length === 1 && listening()[0]?.pid !== worker?.pid, { what: 'a new worker' });
    expect((await get()).status).toBe(200);
  });

  it('hands tokens out once, whatever becomes of the worker that got them', async () => {
    await state.apply(...weather(), planOp('gold', { rate: null, quota: { limit: 12, per: 'month' } }), ...customer());
    await start({ workers: 1 });
    for (let i = 0; i < 6; i++) expect((await get()).status).toBe(200);
    const [worker] = listening();
    process.kill(worker?.pid ?? 0, 'SIGKILL');
    await until(() => listening().length === 1 && listening()[0]?.pid !== worker?.pid, { what: 'a new worker' });
    const answers = await Promise.all(Array.from({ length: 20 }, get));
    // what it was lent ahead, if it was asked fast enough for that, went with it
    const admitted = answers.filter(({ status }) => status === 200).length;
    expect(admitted).toBeGreaterThan(0);
    expect(admitted).toBeLessThanOrEqual(6);
    const bucket = { kind: 'quota' as const, name: SUBSCRIPTION, limit: { limit: 12, per: 'month' as const } };
    expect((await pool.counters.take(bucket, { need: 1, ahead: 0, held: 0, lease: 0 })).granted).toBe(0);
  });

  it('refuses what is too old by the freshness that it is told, also in workers that start later', async () => {
    await state.apply(
      ...placed(
        definitionOf({
          security: 'open',
          maxStaleness: { seconds: 3600, past: 'refuse' },
          upstream: { targets: [{ url: upstream.url }] },
        }),
      ),
    );
    pool = newPool();
    pool.setFreshness(Date.now());
    port = await pool.start();
    expect((await get()).status).toBe(200);
    pool.setFreshness(Date.now() - 3_601_000);
    await until(async () => (await get()).code === 'too_stale' && (await get()).code === 'too_stale', {
      what: 'both workers to refuse',
    });
  });

  it('adds the numbers of all workers up', async () => {
    await state.apply(...weather(), planOp('gold'), ...customer());
    await start();
    for (let i = 0; i < 10; i++) await get();
    const metrics = async (): Promise<string | null> => {
      const all = await pool.metrics();
      const workers = all.match(/heliograph_gateway_revision\{process="worker-[12]",region="eu-west"\} 1/g);
      return workers?.length === 2 ? all : null; // one that takes long to answer has not told anything yet
    };
    const text = await until(metrics, { what: 'the numbers of both workers' });
    expect(text).toContain('heliograph_gateway_requests_total{api="weather:v1",status="2xx",region="eu-west"} 10');
    expect(text).toContain('heliograph_gateway_upstream_seconds_count{region="eu-west"} 10');
    expect(text).toMatch(/heliograph_process_event_loop_delay_seconds\{process="worker-1",region="eu-west"\} \d/);
  });

  it('loses no number that was shown when workers are killed, and counts what was told since', async () => {
    await state.apply(...weather(), planOp('gold'), ...customer());
    await start();
    const shown = async (): Promise<Map<string, number>> => {
      const counters = new Map<string, number>();
      for (const [name, { type, samples }] of readExposition(await pool.metrics()))
        for (const [series, value] of samples)
          if (type !== 'gauge' && !name.startsWith('heliograph_process_')) counters.set(series, value);
      return counters;
    };
    const requests = 'heliograph_gateway_requests_total{api="weather:v1",region="eu-west",status="2xx"}';
    for (let i = 0; i < 10; i++) await get();
    const before = await until(
      async () => {
        const now = await shown();
        return now.get(requests) === 10 ? now : null;
      },
      { what: 'ten requests to be told' },
    );
    const pids = pool.status().map(({ pid }) => pid ?? 0);
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await until(() => pids.every(gone), { what: 'the workers to be gone' });
    const between = await shown();
    const fallen = [...before].filter(([series, value]) => !((between.get(series) ?? -1) >= value));
    expect([fallen, between.get(requests)]).toEqual([[], 10]);
    await until(() => listening().length === 2, { what: 'two others' });
    for (let i = 0; i < 5; i++) await get();
    const text = await until(
      async () => {
        const all = await pool.metrics();
        return readExposition(all).get('heliograph_gateway_requests_total')?.samples.get(requests) === 15 ? all : null;
      },
      { what: 'fifteen requests to be told' },
    );
    expect(text).toContain('heliograph_gateway_worker_deaths_total{region="eu-west"} 2');
    // the dead have no series of their own any more, and their places are taken again
    const places = readExposition(text)
      .get('heliograph_gateway_revision')
      ?.labels.map((labels) => labels['process']);
    expect(places?.sort()).toEqual(['worker-1', 'worker-2']);
  });

  it('lets requests under way end when it stops, and leaves no process', async () => {
    await state.apply(...weather(), planOp('gold'), ...customer());
    await start();
    const pids = pool.status().map(({ pid }) => pid ?? 0);
    upstream.fault = { kind: 'delay', ms: 500 };
    const answer = get();
    await until(() => upstream.requests.length === 1, { what: 'the request to arrive' });
    await pool.stop(30_000);
    expect((await answer).status).toBe(200);
    expect(pids.map(gone)).toEqual([true, true]);
    await expect(get()).rejects.toThrow('ECONNREFUSED');
  });

  it('breaks off what takes longer than the time to stop', async () => {
    await state.apply(...weather(), planOp('gold'), ...customer());
    await start();
    upstream.fault = { kind: 'hang' };
    const answer = get();
    answer.catch(() => undefined);
    await until(() => upstream.requests.length === 1, { what: 'the request to arrive' });
    await pool.stop(100);
    await expect(answer).rejects.toThrow('socket hang up');
    expect(pool.status()).toEqual([]);
  });

  it('leaves no worker behind when its own process is killed', async () => {
    const script = join(state.directory, 'primary.mjs');
    writeFileSync(
      script,
      `import { WorkerPool } from ${JSON.stringify(COMPILED_POOL)};
      const log = { level: 'silent', error() {}, warn() {} };
      const pool = new WorkerPool({ ...${JSON.stringify(WORKER_SETTINGS)}, port: 0, host: '127.0.0.1', stateDir: ${JSON.stringify(state.directory)}, region: 'eu-west', log });
      await pool.start();
      console.log(JSON.stringify(pool.status().map(({ pid }) => pid)));`,
    );
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const pids = JSON.parse(line.toString()) as number[];
    expect(pids).toHaveLength(2);
    child.kill('SIGKILL');
    await until(() => pids.every(gone), { what: 'the workers to end' });
    pool = newPool();
  });
});

async function keptCall(
  agent: Agent,
  path: string,
  key: string,
): Promise<{ status: number; code: string | undefined }> {
  const request = httpRequest({ agent, port, host: '127.0.0.1', path, headers: { 'x-api-key': key } }).end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const text = Buffer.concat(await response.toArray()).toString();
  return {
    status: response.statusCode ?? 0,
    code: response.statusCode === 200 ? undefined : (JSON.parse(text) as { code: string }).code,
  };
}
