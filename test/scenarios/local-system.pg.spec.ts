import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '#harness';
import type { Summary } from '../../apps/local/src/summary.js';
import { REGIONS } from '../../apps/local/src/topology.js';
import { freeBase, LocalRig } from './local-rig.js';

let rig: LocalRig;

beforeAll(async () => {
  rig = await LocalRig.start();
});

afterAll(() => rig.stop());

/** Command lines of whatever still works on this home: apps by their numbers, PostgreSQL by its data directory. */
function leftovers(pids: readonly (number | undefined)[]): string[] {
  const lines = execFileSync('ps', ['-axww', '-o', 'pid=,args='], { encoding: 'utf8' }).split('\n');
  return lines.filter((line) => pids.includes(Number.parseInt(line, 10)) || line.includes(rig.home));
}

function pidsOf({ masterPid, regions }: Summary): (number | undefined)[] {
  return [masterPid, ...regions.map(({ pid }) => pid)];
}

function postgresPid(): number {
  return Number.parseInt(readFileSync(join(rig.home, 'postgres', 'data', 'postmaster.pid'), 'utf8'), 10);
}

describe('npm start', () => {
  it('serves the demo in every region, and says where everything is', async () => {
    for (const region of REGIONS.keys()) {
      const response = await rig.callDemo(region);
      expect([response.status, response.headers.get('x-demo-release')]).toEqual([200, '1']);
      expect(await response.json()).toMatchObject({ method: 'GET', path: '/hello' });
    }
    const key = expect.stringMatching(/^hg_live_/);
    expect(rig.summary).toEqual({
      master: `http://127.0.0.1:${rig.base}`,
      adminToken: expect.any(String),
      store: `file://${rig.home}/store`,
      upstream: `http://127.0.0.1:${rig.base + 1201}`,
      regions: REGIONS.map((region, index) => ({
        ...region,
        gateway: `http://127.0.0.1:${rig.base + 1001 + index}`,
        admin: `http://127.0.0.1:${rig.base + 1101 + index}`,
        pid: expect.any(Number),
      })),
      masterPid: expect.any(Number),
      demo: {
        url: `http://127.0.0.1:${rig.base + 1001}/echo/v1/hello`,
        key: rig.summary.demo.keys['prod'],
        keys: { dev: key, staging: key, prod: key },
      },
    });
    expect(statSync(join(rig.home, 'local.json')).mode & 0o777).toBe(0o600);
  });

  it('has promoted the demo from environment to environment, as anybody would', async () => {
    const { body } = await rig.client.get('/v1/promotions?api=echo:v1');
    const moves = body.items.map(({ to, state, skip }: Record<string, unknown>) => [to, state, skip]);
    expect(moves).toEqual([
      ['prod', 'completed', false],
      ['staging', 'completed', false],
    ]);
  });

  it('is refused on a home that is in use, and on ports that are taken', async () => {
    const second = await rig.launch();
    await expect(second.exited).resolves.toBe('exit code 1');
    expect(second.output()).toContain(`npm start already runs on ${rig.home}, as process ${rig.system.pid}`);

    const elsewhere = mkdtempSync(join(tmpdir(), 'heliograph-local-'));
    const third = await rig.launch([], { HELIO_HOME: elsewhere });
    await expect(third.exited).resolves.toBe('exit code 1');
    expect(third.output()).toContain(`13 ports are taken by another process:\n  ${rig.base}, for the master\n`);
    rmSync(elsewhere, { recursive: true });
    expect((await rig.callDemo(0)).status).toBe(200);
  });

  it.each([
    ['the master', () => rig.summary.masterPid],
    ['a replica', () => rig.summary.regions[0]!.pid],
    ['PostgreSQL', postgresPid],
  ])('mends a kill -9 of %s, while the other region serves on', async (what, pidOf) => {
    const killed = pidOf()!;
    process.kill(killed, 'SIGKILL');
    expect((await rig.callDemo(1)).status).toBe(200);
    await until(() => pidOf() !== killed, { within: 90_000, what: `${what} to be started again` });
    expect(rig.system.output()).toMatch(/ended \(SIGKILL\) and is started again/);
    await until(async () => (await rig.callDemo(0)).status === 200, { what: 'eu-west to serve' });
    await until(async () => (await fetch(`${rig.summary.master}/readyz`)).ok, { what: 'the master to be ready' });
  });

  it('keeps everything between two starts, and leaves no process between them', async () => {
    const before = rig.summary;
    const { client } = rig;
    const { body: application } = await client.post('/v1/applications', { name: 'kept' });
    rig.system.kill('SIGINT');
    rig.system.kill('SIGINT'); // as npm does: the terminal's and its own
    await expect(rig.system.exited).resolves.toBe('exit code 0');
    expect(leftovers(pidsOf(before))).toEqual([]);
    expect(existsSync(join(rig.home, 'local.json'))).toBe(false);

    await rig.start();
    expect(rig.summary).toMatchObject({ adminToken: before.adminToken, demo: before.demo });
    await expect(client.get(`/v1/applications/${application.id}`)).resolves.toMatchObject({ body: { name: 'kept' } });
    expect((await rig.callDemo(1)).status).toBe(200);
  });

  it('leaves no process when it is killed itself, and starts again', async () => {
    const before = rig.summary;
    rig.system.kill('SIGKILL');
    await until(() => leftovers(pidsOf(before)).length === 0, { what: 'its processes to leave' });
    await rig.start();
    expect((await rig.callDemo(0)).status).toBe(200);
  });

  it('begins anew with --fresh', async () => {
    const before = rig.summary;
    await rig.system.stop();
    await rig.start(['--fresh']);
    expect(rig.summary.demo.key).not.toBe(before.demo.key);
    expect((await rig.callDemo(0)).status).toBe(200);
  });

  it('stops at once when it is asked twice', async () => {
    const before = rig.summary;
    rig.system.kill('SIGTERM');
    await until(() => rig.system.output().includes('stopping'), { what: 'the first signal to arrive' });
    setTimeout(() => rig.system.kill('SIGTERM'), 1_100); // before that it counts as the same
    await expect(rig.system.exited).resolves.toMatch(/^exit code (0|130)$/);
    // who was killed may take a moment to be gone
    await until(() => leftovers(pidsOf(before)).length === 0, { what: 'all of its processes to be gone' });
  });

  it('refuses what it does not know', async () => {
    const refused = await rig.launch(['--frsh'], { HELIO_REGION: 'eu-west' });
    await expect(refused.exited).resolves.toBe('exit code 2');
    expect(refused.output()).toMatch(/--frsh: is not an option/);
  });
});

describe('npm start on a taken port', () => {
  it('names the port and what it is for, and starts nothing', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'heliograph-local-'));
    const other = await freeBase();
    const server = createServer().listen(other + 1202, '127.0.0.1');
    const refused = await rig.launch([], { HELIO_HOME: elsewhere, HELIO_PORT_BASE: `${other}` });
    await expect(refused.exited).resolves.toBe('exit code 1');
    expect(refused.output()).toContain(`${other + 1202}, for PostgreSQL`);
    expect(existsSync(join(elsewhere, 'postgres'))).toBe(false);
    server.close();
    rmSync(elsewhere, { recursive: true });
  });
});
