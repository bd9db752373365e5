import { stripVTControlCharacters } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freePorts, helio, type HelioOptions, type Master, onTerminal, type Terminal, until } from '#harness';
import { type Region, Rig } from './rig.js';

let rig: Rig;
let second: Master | null = null;
const screens: Terminal[] = [];

beforeAll(async () => {
  rig = await Rig.start();
  await rig.publish('weather', { security: 'open', plans: [] });
  await rig.publish('slow', {
    security: 'open',
    plans: [],
    upstream: { targets: [{ url: 'http://127.0.0.1:9' }], connectTimeoutMs: 1000 },
  });
  for (const region of ['eu-west', 'us-east'] as const)
    await until(async () => (await rig.call(region, '/slow/v1/first')).status >= 502, { what: `${region} to serve` });
});
afterEach(async () => {
  for (const screen of screens.splice(0)) {
    screen.kill('SIGCONT');
    screen.type('\x03');
    await screen.ended;
  }
});
afterAll(async () => {
  await second?.stop();
  await rig?.stop();
});

const optionsOf = ({ url }: { url: string }): HelioOptions => ({
  env: { HELIO_SERVER: url, HELIO_TOKEN: rig.master.adminToken },
});

/** `helio tail` on a terminal, from when it says that lines come. */
async function tail(args: string[], follows: RegExp = /following (eu-west|http)/, at = rig.master): Promise<Terminal> {
  const screen = await onTerminal(['tail', ...args], { ...optionsOf(at), columns: 2000 });
  screens.push(screen);
  await shows(screen, follows);
  return screen;
}

const seen = (screen: Terminal): string => stripVTControlCharacters(screen.output());
const shows = (screen: Terminal, text: RegExp, from = 0): Promise<true> =>
  until(() => text.test(seen(screen).slice(from)), { what: `the terminal to show ${text}`, within: 60_000 });
/** Calls until it shows: a replica that has come back is asked within some seconds. */
const showsAgain = (screen: Terminal, path: string, region: Region = 'eu-west'): Promise<boolean> =>
  until(
    async () => {
      await rig.call(region, path);
      return seen(screen).includes(path);
    },
    { what: `the terminal to show ${path}`, every: 200, within: 60_000 },
  );
/** How many lines it has shown, and how many it was told that were left out. */
function counted(screen: Terminal, path: string): number {
  const text = seen(screen);
  const left = [...text.matchAll(/(\d+) lines were left out/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  return text.split(`${path}-`).length - 1 + left;
}

describe('helio tail', () => {
  it('shows requests of a region as they are answered, and nothing of another one, though no access log is written', async () => {
    const screen = await tail(['eu-west']);
    await rig.call('us-east', '/weather/v1/elsewhere');
    await rig.call('eu-west', '/weather/v1/here?secret=1', 'hg_live_key');
    await shows(
      screen,
      /\d\d:\d\d:\d\d\.\d{3} {2}eu-west-\S+ {2}200 {2}GET \/weather\/v1\/here {2}[\d.]+ ms {2}weather:v1 {2}from 127\.0\.0\.1\r?\n/,
    );
    expect(seen(screen)).not.toMatch(/elsewhere|secret|hg_live/);
    screen.type('\x03');
    expect(await screen.ended).toBe(0);
    const { items } = (await rig.master.client.get('/v1/audit?limit=5')).body;
    expect(items).toContainEqual(expect.objectContaining({ action: 'access-log.tail', target: 'region/eu-west' }));
  });

  it('shows those of one replica that are asked for, with all fields in JSON', async () => {
    const { items } = (await rig.master.client.get('/v1/replicas?region=eu-west')).body;
    const screen = await tail([items[0].id, '--status', '5xx', '--api', 'slow', '-o', 'json']);
    await rig.call('eu-west', '/weather/v1/well');
    await rig.call('eu-west', '/slow/v1/ill');
    await shows(screen, /ill/);
    const [, json = ''] = /^(\{.*\})\r?$/m.exec(seen(screen)) ?? [];
    expect(JSON.parse(json)).toMatchObject({
      replica: items[0].id,
      path: '/slow/v1/ill',
      api: 'slow:v1',
      code: 'no_healthy_upstream',
      requestId: expect.any(String),
    });
    expect(seen(screen)).not.toContain('well');
  });

  it('calls an application by its name, and by its id in JSON', async () => {
    const { application, revision, secret } = await rig.consumer(await rig.publish('keyed'));
    await rig.reached('eu-west', revision);
    const [lines, json] = [await tail(['eu-west']), await tail(['eu-west', '-o', 'json'])];
    await rig.call('eu-west', '/keyed/v1/named', secret);
    await shows(lines, /GET \/keyed\/v1\/named .* {2}app consumer {2}from 127\.0\.0\.1\r?\n/);
    await shows(json, new RegExp(`"application":"${application}"`));
  });

  it('says what there is not', async () => {
    const run = (...args: string[]) => helio(['tail', ...args], optionsOf(rig.master));
    expect(await run('mars')).toMatchObject({ code: 3, stderr: expect.stringContaining('no region and no replica') });
    expect(await run('eu-west', '--status', '6xx')).toMatchObject({ code: 2, stderr: expect.stringContaining('5xx') });
    for (const api of ['nope', 'nope:v1']) expect(await run('eu-west', '--api', api)).toMatchObject({ code: 3 });
    expect(await run('eu-west', '--app', 'CRM')).toMatchObject({ code: 2, stderr: expect.stringContaining('--app: ') });
    const gone = '7c9e6679-7425-40de-944b-e07fc1f90ae7';
    expect(await run('eu-west', '--app', gone)).toMatchObject({ code: 3 });
    expect(await run()).toMatchObject({ code: 2 });
    expect(await run('--admin', 'localhost:9180')).toMatchObject({ code: 2 });
    expect(await run('--admin', 'http://127.0.0.1:9')).toMatchObject({ code: 5 });
  });

  it('says whose lines are missing when a replica is killed, and goes on when it is back', async () => {
    const screen = await tail(['eu-west']);
    rig.replicas['eu-west'].kill('SIGKILL');
    await rig.replicas['eu-west'].exited;
    await shows(screen, /eu-west-\S+ is missing: it is not connected to a master/);
    await rig.restartReplica('eu-west');
    await showsAgain(screen, '/weather/v1/back');
  });

  it('goes on when the master was killed, and says that lines are missing', async () => {
    const screen = await tail(['eu-west']);
    rig.master.kill('SIGKILL');
    await rig.master.exited;
    await shows(screen, /the connection is lost, and made again; lines are missing/);
    expect((await rig.call('eu-west', '/weather/v1/meanwhile')).status).toBe(200);
    await rig.restartMaster();
    await showsAgain(screen, '/weather/v1/after');
  });

  it('shows requests of replicas that are connected to another master, also after that one was killed', async () => {
    second = await rig.master.beside((await freePorts(1))[0] ?? 0);
    const screen = await tail(['eu-west'], undefined, second);
    await rig.call('eu-west', '/weather/v1/across');
    await shows(screen, /across/);
    rig.master.kill('SIGKILL');
    await rig.master.exited;
    await shows(screen, /is missing: /);
    await rig.restartMaster();
    await showsAgain(screen, '/weather/v1/across-again');
    expect(seen(screen)).not.toContain('connection is lost');
  });

  it('holds up neither the gateway nor another reader while it is stopped, and counts what it does not show', async () => {
    const [stopped, other] = [await tail(['eu-west', '--api', 'weather']), await tail(['eu-west', '--api', 'weather'])];
    stopped.kill('SIGSTOP');
    const requests = 1500;
    for (let n = 0; n < requests; n += 50)
      await Promise.all(
        Array.from({ length: 50 }, async (_, i) =>
          expect((await rig.call('eu-west', `/weather/v1/flood-${n + i}`)).status).toBe(200),
        ),
      );
    await until(() => counted(other, 'flood') === requests, { what: 'the other one to tell of all', within: 60_000 });
    stopped.kill('SIGCONT');
    await until(() => counted(stopped, 'flood') === requests, { what: 'it to tell of all, too', within: 60_000 });
  });

  it('shows requests of a replica on its own machine with the master dead, and goes on when a worker was killed', async () => {
    rig.master.kill('SIGKILL');
    await rig.master.exited;
    await second?.stop();
    second = null;
    const screen = await tail(['--admin', rig.replicas['eu-west'].admin]);
    await showsAgain(screen, '/weather/v1/alone');
    const [{ pid }] = (await rig.status('eu-west')).workers;
    process.kill(pid, 'SIGKILL');
    await until(
      async () => {
        const [worker] = (await rig.status('eu-west')).workers;
        return worker?.listening && worker.pid !== pid;
      },
      { what: 'another worker', within: 60_000 },
    );
    await showsAgain(screen, '/weather/v1/another-worker');
    await rig.restartMaster();
  });
});
