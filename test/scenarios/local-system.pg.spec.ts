import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AppProcess, Client, startApp, until } from '#harness';
import type { Summary } from '../../apps/local/src/local-system.js';
import { checkPorts, portsFrom } from '../../apps/local/src/ports.js';

let home: string;
let base: number;
let system: AppProcess;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'heliograph-local-'));
  base = await freeBase();
  system = await start();
});

afterAll(async () => {
  await system.stop();
  rmSync(home, { recursive: true });
});

/** A base whose ports are all free: above those of `freePorts`, below those that the system gives by itself. */
async function freeBase(): Promise<number> {
  for (;;) {
    const candidate = 23_000 + Math.floor(Math.random() * 8_000);
    if (
      await checkPorts(portsFrom(candidate), 0).then(
        () => true,
        () => false,
      )
    )
      return candidate;
  }
}

function launch(args: string[] = [], env: Record<string, string> = {}): Promise<AppProcess> {
  return startApp({ app: 'local', args, env: { HELIO_HOME: home, HELIO_PORT_BASE: `${base}`, ...env } });
}

async function start(args: string[] = []): Promise<AppProcess> {
  const started = await launch(args);
  let ended: string | undefined;
  void started.exited.then((how) => (ended = how));
  // not the file: one that was killed has left it
  await until(() => ended ?? started.output().includes('Heliograph is ready'), {
    within: 180_000,
    what: 'npm start to be ready',
  });
  expect(ended, started.output()).toBeUndefined();
  return started;
}

function summary(): Summary {
  return JSON.parse(readFileSync(join(home, 'local.json'), 'utf8')) as Summary;
}

function callDemo(region: number): Promise<Response> {
  const { regions, demo } = summary();
  return fetch(`${regions[region]!.gateway}${new URL(demo.url).pathname}`, { headers: { 'X-API-Key': demo.key } });
}

/** Command lines of whatever still works on this home: apps by their numbers, PostgreSQL by its data directory. */
function leftovers(pids: readonly (number | undefined)[]): string[] {
  const lines = execFileSync('ps', ['-axww', '-o', 'pid=,args='], { encoding: 'utf8' }).split('\n');
  return lines.filter((line) => pids.includes(Number.parseInt(line, 10)) || line.includes(home));
}

function pidsOf({ masterPid, regions }: Summary): (number | undefined)[] {
  return [masterPid, ...regions.map(({ pid }) => pid)];
}

function postgresPid(): number {
  return Number.parseInt(readFileSync(join(home, 'postgres', 'data', 'postmaster.pid'), 'utf8'), 10);
}

describe('npm start', () => {
  it('serves the demo in both regions, and says where everything is', async () => {
    for (const region of [0, 1]) {
      const response = await callDemo(region);
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ method: 'GET', path: '/hello' });
    }
    expect(summary()).toEqual({
      master: `http://127.0.0.1:${base}`,
      adminToken: expect.any(String),
      store: `file://${home}/store`,
      upstream: `http://127.0.0.1:${base + 1201}`,
      regions: ['eu-west', 'us-east'].map((id, index) => ({
        id,
        environment: 'prod',
        gateway: `http://127.0.0.1:${base + 1001 + index}`,
        admin: `http://127.0.0.1:${base + 1101 + index}`,
        pid: expect.any(Number),
      })),
      masterPid: expect.any(Number),
      demo: { url: `http://127.0.0.1:${base + 1001}/echo/v1/hello`, key: expect.stringMatching(/^hg_live_/) },
    });
    expect(statSync(join(home, 'local.json')).mode & 0o777).toBe(0o600);
  });

  it('is refused on a home that is in use, and on ports that are taken', async () => {
    const second = await launch();
    await expect(second.exited).resolves.toBe('exit code 1');
    expect(second.output()).toContain(`npm start already runs on ${home}, as process ${system.pid}`);

    const elsewhere = mkdtempSync(join(tmpdir(), 'heliograph-local-'));
    const third = await launch([], { HELIO_HOME: elsewhere });
    await expect(third.exited).resolves.toBe('exit code 1');
    expect(third.output()).toContain(`7 ports are taken by another process:\n  ${base}, for the master\n`);
    rmSync(elsewhere, { recursive: true });
    expect((await callDemo(0)).status).toBe(200);
  });

  it.each([
    ['the master', () => summary().masterPid],
    ['a replica', () => summary().regions[0]!.pid],
    ['PostgreSQL', postgresPid],
  ])('mends a kill -9 of %s, while the other region serves on', async (what, pidOf) => {
    const killed = pidOf()!;
    process.kill(killed, 'SIGKILL');
    expect((await callDemo(1)).status).toBe(200);
    await until(() => pidOf() !== killed, { within: 90_000, what: `${what} to be started again` });
    expect(system.output()).toMatch(/ended \(SIGKILL\) and is started again/);
    await until(async () => (await callDemo(0)).status === 200, { what: 'eu-west to serve' });
    await until(async () => (await fetch(`${summary().master}/readyz`)).ok, { what: 'the master to be ready' });
  });

  it('keeps everything between two starts, and leaves no process between them', async () => {
    const before = summary();
    const client = new Client(before.master, before.adminToken);
    const { body: application } = await client.post('/v1/applications', { name: 'kept' });
    system.kill('SIGINT');
    system.kill('SIGINT'); // as npm does: the terminal's and its own
    await expect(system.exited).resolves.toBe('exit code 0');
    expect(leftovers(pidsOf(before))).toEqual([]);
    expect(existsSync(join(home, 'local.json'))).toBe(false);

    system = await start();
    expect(summary()).toMatchObject({ adminToken: before.adminToken, demo: before.demo });
    await expect(client.get(`/v1/applications/${application.id}`)).resolves.toMatchObject({ body: { name: 'kept' } });
    expect((await callDemo(1)).status).toBe(200);
  });

  it('leaves no process when it is killed itself, and starts again', async () => {
    const before = summary();
    system.kill('SIGKILL');
    await until(() => leftovers(pidsOf(before)).length === 0, { what: 'its processes to leave' });
    system = await start();
    expect((await callDemo(0)).status).toBe(200);
  });

  it('begins anew with --fresh', async () => {
    const before = summary();
    await system.stop();
    system = await start(['--fresh']);
    expect(summary().demo.key).not.toBe(before.demo.key);
    expect((await callDemo(0)).status).toBe(200);
  });

  it('stops at once when it is asked twice', async () => {
    const before = summary();
    system.kill('SIGTERM');
    await until(() => system.output().includes('stopping'), { what: 'the first signal to arrive' });
    setTimeout(() => system.kill('SIGTERM'), 1_100); // before that it counts as the same
    await expect(system.exited).resolves.toMatch(/^exit code (0|130)$/);
    // who was killed may take a moment to be gone
    await until(() => leftovers(pidsOf(before)).length === 0, { what: 'all of its processes to be gone' });
  });

  it('refuses what it does not know', async () => {
    const refused = await launch(['--frsh'], { HELIO_REGION: 'eu-west' });
    await expect(refused.exited).resolves.toBe('exit code 2');
    expect(refused.output()).toMatch(/--frsh: is not an option/);
  });
});

describe('npm start on a taken port', () => {
  it('names the port and what it is for, and starts nothing', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'heliograph-local-'));
    const other = await freeBase();
    const server = createServer().listen(other + 1202, '127.0.0.1');
    const refused = await launch([], { HELIO_HOME: elsewhere, HELIO_PORT_BASE: `${other}` });
    await expect(refused.exited).resolves.toBe('exit code 1');
    expect(refused.output()).toContain(`${other + 1202}, for PostgreSQL`);
    expect(existsSync(join(elsewhere, 'postgres'))).toBe(false);
    server.close();
    rmSync(elsewhere, { recursive: true });
  });
});
