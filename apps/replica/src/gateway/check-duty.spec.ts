import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RecordingUpstream, recordingUpstream, until } from '#harness';
import { createLog } from '#platform';
import { call } from '../testing/clients.js';
import { compiledPool } from '../testing/compiled-pool.js';
import { definitionOf, placed } from '../testing/gateway-ops.js';
import { StateFixture } from '../testing/state-fixture.js';
import { WORKER_SETTINGS } from '../testing/worker-settings.js';
import { CheckDuty } from './check-duty.js';
import type { ToWorker } from './ipc.js';
import type { WorkerPool } from './worker-pool.js';

describe('the duty to check targets', () => {
  it('is one worker’s; the others learn from it, and another one takes its place', () => {
    const duty = new CheckDuty();
    const told: [string, ToWorker][] = [];
    for (const name of ['1', '2']) duty.join(name, (message) => told.push([name, message]));
    expect(told.splice(0)).toEqual([['1', { type: 'check' }]]);
    duty.told('1', ['x']);
    duty.told('2', ['y']);
    duty.join('3', (message) => told.push(['3', message]));
    expect(told.splice(0)).toEqual([['2', { type: 'down', checks: ['x'] }]]);
    expect(duty.down).toEqual(['x']);
    duty.leave('3');
    duty.leave('1');
    expect(told).toEqual([['2', { type: 'check' }]]);
  });
});

describe('workers', () => {
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

  async function start(workers: number, healthy = 1): Promise<void> {
    pool = new Pool({
      ...WORKER_SETTINGS,
      workers,
      port: 0,
      host: '127.0.0.1',
      stateDir: state.directory,
      region: 'eu-west',
      log: createLog('test', 'silent'),
    });
    const active = { path: '/well', intervalMs: 500, healthy, unhealthy: 1 };
    const target = { targets: [{ url: upstream.url }], healthChecks: { active } };
    await state.apply(...placed(definitionOf({ security: 'open', upstream: target })));
    port = await pool.start();
  }

  const asked = (): number => upstream.requests.filter(({ url }) => url !== '/well').length;
  const get = () => call(port, 'GET', '/weather/v1/today');
  const everywhere = async (status: number): Promise<boolean> => {
    const answers = await Promise.all(Array.from({ length: 12 }, get));
    return answers.every((answer) => answer.status === status);
  };

  it('know it before they take a connection, those that clients waited for, too', async () => {
    await start(1, 10); // it is down for long when it is well again
    upstream.fault = { kind: 'status', status: 500 };
    await until(() => everywhere(503), { what: 'the worker to know' });
    upstream.fault = undefined; // it would answer, if it were asked
    const pid = pool.status()[0]?.pid ?? 0;
    process.kill(pid, 'SIGKILL');
    await until(() => pool.status().every((other) => other.pid !== pid), { what: 'the worker to be gone', every: 5 });
    const before = asked();
    const answers = await Promise.all(Array.from({ length: 20 }, get));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 503));
    expect(asked()).toBe(before);
  });

  it('know what one of them found, and go on when that one is killed', async () => {
    await start(2);
    const checks = (): number => upstream.requests.filter(({ url }) => url === '/well').length;

    await until(() => checks() >= 2, { what: 'two checks' });
    upstream.fault = { kind: 'status', status: 500 };
    await until(() => everywhere(503), { what: 'every worker to know' });
    for (const { pid } of pool.status()) {
      process.kill(pid ?? 0, 'SIGKILL');
      await until(() => pool.status().filter((other) => other.listening && other.pid !== pid).length === 2, {
        what: 'two workers',
      });
      await until(() => everywhere(503), { what: 'every worker to know' });
    }
    upstream.fault = undefined;
    await until(() => everywhere(200), { what: 'every worker to know that it is well' });
  });
});
