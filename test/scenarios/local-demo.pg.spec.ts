import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AppProcess, until } from '#harness';
import { LocalRig } from './local-rig.js';

let rig: LocalRig;

beforeAll(async () => {
  rig = await LocalRig.start();
});

afterAll(() => rig.stop());

/** Runs it to its end. */
async function demo(...args: string[]): Promise<{ ended: string; output: string }> {
  const app: AppProcess = await rig.launch(['demo', ...args]);
  return { ended: await app.exited, output: app.output() };
}

async function promotions(): Promise<string[]> {
  const { body } = await rig.client.get('/v1/promotions?api=echo:v1');
  return body.items.map(({ to, state, skip }: Record<string, unknown>) => `${to} ${state}${skip ? ' skip' : ''}`);
}

describe('npm run demo', () => {
  it('brings a good release to every region, through real gates on its own calls', async () => {
    const { ended, output } = await demo();
    expect(ended, output).toBe('exit code 0');
    // whoever is quick sees a wave only once it is acknowledged
    expect(output).toMatch(/prod: wave 1 of 2, (the release goes to|acknowledged in) eu-west[;\n]/);
    expect(output).toMatch(/prod: wave 2 of 2, (the release goes to|acknowledged in) us-east and ap-south[;\n]/);
    expect(output).toMatch(/prod: completed\n/);
    expect(output).toMatch(/prod soaking.*eu-west 2 \d+\/0, us-east 1 \d+\/0, ap-south 1 \d+\/0/);
    expect((await promotions()).slice(0, 3)).toEqual(['prod completed', 'staging completed', 'dev completed']);
    expect(await rig.answers()).toEqual(
      ['eu-west', 'us-east', 'ap-south', 'staging-eu', 'dev-eu'].map((id) => `${id} 200 2`),
    );
  }, 180_000);

  it('P4 has a bad release taken back by the gate of the first region, and no other region has seen it', async () => {
    const { ended, output } = await demo('bad');
    expect(ended, output).toBe('exit code 0');
    expect(output).toMatch(
      // it may have gone back before anybody has looked
      /prod: (going back|rolled back, its replicas have what they had before), by the gate "errors": 100\.00% of \d+ answers of echo:v1 .* 1\.00% are allowed\n/,
    );
    expect(output).toMatch(/eu-west: \d+ answers were good, [1-9]\d* were 5xx\n/);
    expect(output).toMatch(/us-east: \d+ answers were good, 0 were 5xx\n/);
    expect(output).toMatch(/ap-south: \d+ answers were good, 0 were 5xx\n/);
    const [, before] = /state root of prod before: ([0-9a-f]{64})\n/.exec(output) ?? [];
    expect(output).toContain(`state root of prod after:  ${before}, the same\n`);
    expect((await promotions()).slice(0, 3)).toEqual(['prod rolled-back', 'staging completed', 'dev completed']);
    expect(await rig.answers()).toEqual([
      ...['eu-west', 'us-east', 'ap-south'].map((id) => `${id} 200 2`),
      ...['staging-eu', 'dev-eu'].map((id) => `${id} 200 3`),
    ]);
  }, 180_000);

  it('aborts the promotion under way when it is ended', async () => {
    const app = await rig.launch(['demo']);
    await until(() => app.output().includes('staging: acknowledged'), { what: 'the gates of staging' });
    app.kill('SIGINT');
    app.kill('SIGINT'); // as npm does: the terminal's and its own
    expect(await app.exited, app.output()).toBe('exit code 130');
    expect(app.output()).toMatch(/staging: rolled back/);
    expect((await promotions()).slice(0, 2)).toEqual(['staging rolled-back', 'dev completed']);
    expect(await rig.answers()).toContain('staging-eu 200 3');
  });

  it('says how to end one that was left open', async () => {
    const { body: placed } = await rig.client.get('/v1/placements/staging/echo:v1/staging-eu');
    const { body: open } = await rig.client.post('/v1/promotions', {
      api: 'echo:v1',
      release: placed.release,
      to: 'dev',
      strategy: { soak: 0, gates: { minRequests: 1_000_000 } },
    });
    const { ended, output } = await demo();
    expect(ended).toBe('exit code 1');
    expect(output).toContain(`npm run demo: the promotion ${open.id} of echo:v1 to dev is open (soaking)`);
    expect(output).toContain(`curl -X POST ${rig.summary.master}/v1/promotions/${open.id}/abort`);
    await rig.client.post(`/v1/promotions/${open.id}/abort`, { reason: 'a test' });
    await until(async () => (await promotions())[0] === 'dev rolled-back', { what: 'the end of the other promotion' });
  });

  it('refuses what it does not know, and says where nothing runs', async () => {
    expect(await demo('ugly')).toMatchObject({
      ended: 'exit code 2',
      output: expect.stringMatching(/ugly: is not an option/),
    });
    const elsewhere = mkdtempSync(join(tmpdir(), 'heliograph-local-'));
    const lost = await rig.launch(['demo'], { HELIO_HOME: elsewhere });
    expect(await lost.exited).toBe('exit code 1');
    expect(lost.output()).toBe(
      `npm run demo: npm start does not run on ${elsewhere}; start it in another terminal, and wait until it is ready\n`,
    );
    rmSync(elsewhere, { recursive: true });
  });
});

describe('npm start -- --regions', () => {
  it('starts these alone, and the demo goes to these alone', async () => {
    await rig.system.stop();
    await rig.start(['--regions', 'us-east,ap-south']);
    expect(await rig.answers()).toEqual(['us-east 200 2', 'ap-south 200 2']);
    expect(rig.summary.demo.url).toBe(`http://127.0.0.1:${rig.base + 1002}/echo/v1/hello`);
    const { ended, output } = await demo();
    expect(ended, output).toBe('exit code 0');
    expect((await promotions())[0]).toBe('prod completed skip');
    expect(await rig.answers()).toEqual(['us-east 200 5', 'ap-south 200 5']);
  }, 180_000);

  it('leaves the others as they were, for a later start', async () => {
    await rig.system.stop();
    await rig.start();
    expect(await rig.answers()).toEqual([
      'eu-west 200 2',
      'us-east 200 5',
      'ap-south 200 5',
      'staging-eu 200 3',
      expect.stringMatching(/^dev-eu 200 \d$/),
    ]);
  }, 180_000);

  it('names a region that there is not', async () => {
    const refused = await rig.launch(['--regions', 'eu-west,mars']);
    await expect(refused.exited).resolves.toBe('exit code 2');
    expect(refused.output()).toContain(
      '--regions: there is no region "mars"; some of eu-west,us-east,ap-south,staging-eu,dev-eu',
    );
  });
});
