import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newSigningKeyPem, signerFromPem } from '#artifacts';
import { type Ended, helio, type HelioOptions, onTerminal, type Terminal, until } from '#harness';
import { REGIONS, Rig } from './rig.js';

let rig: Rig;
const digests: string[] = [];

beforeAll(async () => {
  rig = await Rig.start();
  await rig.publish('weather', { security: 'open', plans: [] });
  for (let n = 1; n <= 3; n++) {
    const definition = {
      routes: [{ method: '*', path: '/*' }],
      upstream: { targets: [{ url: rig.upstream.url }], responseTimeoutMs: n * 1000 },
      security: 'open',
      plans: [],
    };
    digests.push((await rig.master.client.post('/v1/apis/weather:v1/releases', { definition })).body.digest);
  }
});
afterAll(() => rig?.stop());

const options = (): HelioOptions => ({ env: { HELIO_SERVER: rig.master.url, HELIO_TOKEN: rig.master.adminToken } });
const run = (...args: string[]): Promise<Ended> => helio(args, options());
const terminal = (...args: string[]): Promise<Terminal> => onTerminal(args, { ...options(), columns: 200, rows: 50 });
const head = async (): Promise<number> => (await rig.master.client.get('/v1/environments/prod/head')).body.revision;
/** What it wrote so far, without what a terminal obeys. */
const seen = (screen: Terminal): string => stripVTControlCharacters(screen.output());
const shows = (screen: Terminal, text: RegExp): Promise<true> =>
  until(async () => text.test(seen(screen)), { what: `the terminal to show ${text}`, within: 60_000 });

describe('helio status', () => {
  it('shows on one screen who leads and how each replica is, with its traffic', async () => {
    const told = await until(
      async () => {
        for (const region of REGIONS) await rig.call(region, '/weather/v1/today');
        const json = JSON.parse((await run('status', '-o', 'json')).stdout);
        const replicas = json.environments[0].regions.flatMap((region: { replicas: object[] }) => region.replicas);
        return (
          replicas.every(
            (one: { traffic?: { requestsPerSecond: number } }) => (one.traffic?.requestsPerSecond ?? 0) > 0,
          ) && { json, replicas }
        );
      },
      { what: 'both replicas to tell of their traffic', within: 60_000 },
    );
    expect(told.json.environments).toMatchObject([{ id: 'prod', state: 'publishing', problem: null }]);
    expect(told.replicas).toMatchObject(REGIONS.map((region) => ({ region, state: 'live', freshness: 'fresh' })));
    const { stdout, code } = await run('status');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ENVIRONMENT +STATE +HEAD +EPOCH +LEADER/);
    expect(stdout).toMatch(/prod +publishing +\d+ +1 +\S+ +\d+ +0\n/);
    for (const region of REGIONS) expect(stdout).toMatch(new RegExp(`prod/${region} +${region}-\\S+ +live +\\d+ +0 `));
    expect((await run('status', '-o', 'wide')).stdout).toMatch(/ right +0\.1\.0/);
    expect(await run('status', '--environment', 'mars')).toMatchObject({ code: 3 });
  });

  it('is watched through the loss of the master', async () => {
    const screen = await terminal('status', '--watch');
    await shows(screen, /us-east-/);
    rig.master.kill('SIGKILL');
    await rig.master.exited;
    await shows(screen, /! http:\S+ does not answer/);
    await rig.restartMaster();
    const told = seen(screen).length;
    await until(async () => /publishing/.test(seen(screen).slice(told)), {
      what: 'the screen to go on',
      within: 60_000,
    });
    screen.type('\x03');
    expect(await screen.ended).toBe(0);
  });
});

describe('helio promotion watch', () => {
  const promote = (release: string, soak: number): string[] => [
    'promote',
    'weather:v1',
    '--release',
    release,
    '--to',
    'prod',
    '--waves',
    'eu-west/us-east',
    '--soak',
    `${soak}`,
    '--gates',
    'minRequests=0',
  ];

  it('writes a line for each thing that happens, and ends well with the promotion', async () => {
    const { code, stdout } = await run(...promote(digests[0] ?? '', 1), '--watch');
    expect(code).toBe(0);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(' ').slice(1).join(' ')),
    ).toEqual([
      'approved by bootstrap',
      'rolling wave 1',
      'soaking wave 1',
      'rolling wave 2',
      'soaking wave 2',
      'completed wave 2',
    ]);
    for (const line of stdout.trim().split('\n')) expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z /);
  });

  it('goes on where it was when the master comes back, and tells nothing twice', async () => {
    const { stdout: name } = await run(...promote(digests[1] ?? '', 8), '-o', 'name');
    const screen = await terminal('promotion', 'watch', name.trim());
    await shows(screen, /soaking wave 1/);
    rig.master.kill('SIGKILL');
    await rig.master.exited;
    await shows(screen, /the master is away, and is asked again/);
    await rig.restartMaster();
    expect(await screen.ended).toBe(0);
    const last = stripVTControlCharacters(screen.output().split('\x1b[0J').at(-1) ?? '');
    const steps = [...last.matchAll(/^ {2}\d\d:\d\d:\d\d {2}(.*?)\s*$/gm)].map(([, step]) => step);
    expect(steps).toEqual([
      'approved by bootstrap',
      'rolling wave 1',
      'soaking wave 1',
      'rolling wave 2',
      'soaking wave 2',
      'completed wave 2',
    ]);
    expect(last).not.toContain('away');
  });

  it('shows waves, gates and what is waited for on a terminal, and ends with 1 when it is rolled back', async () => {
    const { stdout: name } = await run(...promote(digests[2] ?? '', 600), '-o', 'name');
    const screen = await terminal('promotion', 'watch', name.trim());
    await shows(screen, /waits for: it soaks for another/);
    expect(seen(screen)).toMatch(/wave 1 {2}eu-west/);
    expect(seen(screen)).toMatch(/gates: acknowledged in 300 s, 0 requests, up to 1\.0% errors/);
    await run('promotion', 'abort', name.trim(), '--reason', 'a test');
    expect(await screen.ended).toBe(1);
    expect(seen(screen)).toContain('rolled-back');
  });

  it('leaves a promotion that goes on, when it is interrupted', async () => {
    const { stdout: name } = await run(...promote(digests[2] ?? '', 600), '-o', 'name');
    const screen = await terminal('promotion', 'watch', name.trim());
    await shows(screen, /waits for: it soaks for another/);
    screen.type('\x03');
    expect(await screen.ended).toBe(130);
    await run('promotion', 'abort', name.trim(), '--reason', 'a test');
  });
});

describe('helio convergence', () => {
  it('tells which replicas have a revision, and waits until all have', async () => {
    const name = `prod@${await head()}`;
    const watched = await run('convergence', name, '--watch');
    expect(watched).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/is everywhere: 2 of 2 replicas\n\nREGION/),
    });
    rig.replicas['us-east'].kill('SIGKILL');
    await rig.replicas['us-east'].exited;
    await rig.master.client.post('/v1/plans', { id: 'gold' });
    const late = await run('convergence', 'prod');
    expect(late).toMatchObject({ code: 1, stdout: expect.stringMatching(/us-east-\S+ +us-east +\d+ +1 /) });
    const watching = run('convergence', 'prod', '--watch');
    await rig.restartReplica('us-east');
    expect(await watching).toMatchObject({ code: 0 });
    expect(await run('convergence', 'prod@99999')).toMatchObject({ code: 3 });
    expect(await run('convergence', 'Prod')).toMatchObject({ code: 2 });
  });
});

describe('helio doctor', () => {
  const stateOf = (region: (typeof REGIONS)[number]): string => join(rig.directory, region);

  it('looks at the master of the context, and at all replicas that it knows', async () => {
    const well = await until(
      async () => {
        const ended = await run('doctor');
        return ended.code === 0 && !/warning +(behind|heard)/.test(ended.stdout) && ended;
      },
      { what: 'everything to be well', within: 60_000 },
    );
    expect(well.stdout).toMatch(/^master http:\S+\n {2}ok +reachable: it answers in \d+ ms\n/);
    expect(well.stdout).toMatch(/ok +publishing of prod: revision \d+, led by /);
    for (const region of REGIONS) expect(well.stdout).toMatch(new RegExp(`replica ${region}-\\S+\n +ok +replica: `));
  });

  it('looks at a replica from its own machine alone, with the master dead', async () => {
    rig.master.kill('SIGKILL');
    await rig.master.exited;
    const look = () => run('doctor', '--replica', rig.replicas['eu-west'].admin, '--state-dir', stateOf('eu-west'));
    const { stdout, code } = await until(
      async () => {
        const ended = await look();
        return /warning +sync: it has no stream to a master/.test(ended.stdout) && ended;
      },
      { what: 'the replica to miss the master', within: 60_000 },
    );
    expect(stdout).toMatch(/ok +serving: revision \d+ of prod in eu-west\n/);
    expect(stdout).toMatch(/ok +workers: 1 take connections at revision \d+\n/);
    expect(stdout).toMatch(/ok +identity: eu-west-\d+, eu-west of prod, joined\n/);
    expect(stdout).toMatch(/ok +process: it runs as process \d+\n/);
    expect(stdout).toMatch(/disk: \d+ MiB of \d+ MiB are free/);
    expect(stdout).toMatch(/open files: process \d+ has \d+ of \d+ open/);
    // by the keys that it has kept
    expect(stdout).toMatch(/ok +head of prod: revision \d+, epoch \d+, signed by [0-9a-f]{16}\n/);
    expect(stdout).toMatch(/why +Changes take until the next poll\.\n +next +If masters are meant to be reached/);
    expect(code).toBe(/FAULT/.test(stdout) ? 1 : 0);

    // as after a rotation: the chain has named another key than the one that it was told when it joined
    const kept = join(stateOf('eu-west'), 'identity.json');
    const text = readFileSync(kept, 'utf8');
    const [own = ''] = (JSON.parse(text) as { joined: { trustedKeys: string[] } }).joined.trustedKeys;
    writeFileSync(kept, text.replace(own, signerFromPem(newSigningKeyPem()).publicKey));
    expect((await look()).stdout).toMatch(/warning +head of prod: .* none of the keys that this replica was told/);
    writeFileSync(kept, text);

    const dead = await run('doctor', '--master', rig.master.url);
    expect(dead.code).toBe(1);
    expect(dead.stdout).toMatch(/FAULT +reachable: it does not answer: .*ECONNREFUSED/);
    expect(await run('doctor')).toMatchObject({ code: 1 });
    await rig.restartMaster();
  });

  it('says so when nobody serves from a directory, and when it is none', async () => {
    rig.replicas['us-east'].kill('SIGKILL');
    await rig.replicas['us-east'].exited;
    const { stdout, code } = await run(
      'doctor',
      '--replica',
      rig.replicas['us-east'].admin,
      '--state-dir',
      stateOf('us-east'),
    );
    expect(code).toBe(1);
    expect(stdout).toMatch(/FAULT +admin port: it does not answer/);
    expect(stdout).toMatch(/FAULT +process: process \d+ has gone without giving the directory back/);
    expect((await run('doctor', '--state-dir', join(rig.directory, 'none'))).stdout).toMatch(
      /FAULT +state directory: /,
    );
    await rig.restartReplica('us-east');
  });

  it('looks at a store: who has signed its head, and that what it names is there', async () => {
    const json = async (...args: string[]): Promise<{ check: string; level: string }[]> =>
      JSON.parse((await run('doctor', '--store', ...args, '-o', 'json')).stdout);
    expect(await json(rig.storeDirectory)).toMatchObject([{ check: 'head of prod', level: 'warning' }]);
    const { body } = await rig.master.client.get('/v1/signing-keys');
    const keys = body.items.map(({ publicKey }: { publicKey: string }) => publicKey).join(',');
    expect(await json(rig.storeDirectory, '--trusted-keys', keys)).toMatchObject([
      { check: 'head of prod', level: 'ok' },
    ]);
    expect(await json(rig.storeDirectory, '--environment', 'mars')).toMatchObject([
      { check: 'head of mars', level: 'fault' },
    ]);
    expect(await json(join(rig.directory, 'none'), '--environment', 'prod')).toMatchObject([
      { check: 'reachable', level: 'fault' },
    ]);
    const proven = await run('verify', rig.storeDirectory, '--trusted-keys', keys);
    expect(proven).toMatchObject({ code: 0, stdout: expect.stringContaining('prod: proven') });
  });

  it('tells a port of something else from a master, and an address from what is none', async () => {
    const { stdout } = await run('doctor', '--master', rig.upstream.url, '--replica', rig.upstream.url);
    expect(stdout).toMatch(/FAULT +reachable: .*not as a master does/);
    expect(stdout).toMatch(/FAULT +admin port: .*not as a replica does/);
    expect(await run('doctor', '--replica', 'localhost:9180')).toMatchObject({ code: 2 });
  });
});
