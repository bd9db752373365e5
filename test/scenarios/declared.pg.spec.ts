import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ended, freshDatabase, helio, type Master, startMaster } from '#harness';
import { afterAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { LocalRig } from './local-rig.js';

const scratch = (): string => mkdtempSync(join(tmpdir(), 'helio-declared-'));
const APIS = 2_000;
const ROUTES = 20;

interface Place {
  server: string;
  token: string;
}
const started: { stop(): Promise<unknown> }[] = [];
afterAll(async () => {
  for (const one of started) await one.stop();
});

async function newMaster(): Promise<Place> {
  const { url } = await freshDatabase();
  const master: Master = await startMaster({ database: url, store: `file://${scratch()}/store` });
  started.push(master);
  return { server: master.url, token: master.adminToken };
}

const run = ({ server, token }: Place, ...args: string[]): Promise<Ended> =>
  helio(args, { env: { HELIO_SERVER: server, HELIO_TOKEN: token } });

/** Exports one, applies that to an empty master, and exports again. @returns what the apply told */
async function roundTrip(place: Place): Promise<string> {
  const directory = join(scratch(), 'out');
  const exported = await run(place, 'export', '-o', directory);
  expect(exported.code, exported.stderr).toBe(0);
  const other = await newMaster();
  const applied = await run(other, 'apply', '-f', directory, '--yes');
  expect(applied.code, applied.stderr).toBe(0);
  expect(await run(other, 'diff', '-f', directory)).toMatchObject({ code: 0 });
  expect((await run(other, 'export')).stdout).toBe((await run(place, 'export')).stdout);
  return applied.stdout;
}

describe('what is declared', () => {
  it(`comes back from export as it was applied: ${APIS} APIs of ${ROUTES} routes, in one revision`, async () => {
    const master = await newMaster();
    const directory = scratch();
    mkdirSync(join(directory, 'apis'));
    const shared = [
      { kind: 'environment', id: 'dev', position: 10 },
      { kind: 'region', id: 'lab', environment: 'dev' },
      { kind: 'plan', id: 'gold', rate: { limit: 10, per: 'second' } },
      { kind: 'application', id: 'crm', name: 'CRM' },
      { kind: 'subscription', application: 'crm', api: 'api-7:v1', plan: 'gold' },
    ];
    writeFileSync(join(directory, 'shared.yaml'), shared.map((one) => `---\n${stringify(one)}`).join(''));
    for (let n = 0; n < APIS; n++) writeFileSync(join(directory, 'apis', `api-${n}.json`), JSON.stringify(api(n)));
    const first = await run(master, 'apply', '-f', directory, '--yes');
    expect(first.code, first.stderr).toBe(0);
    expect(first.stdout).toContain(`${APIS + 5} to create, 0 to change, 0 to delete; 0 as they should be\n`);
    expect(first.stdout).toMatch(/Applied: dev@1\n$/);
    expect(await run(master, 'diff', '-f', directory)).toMatchObject({
      code: 0,
      stdout: `0 to create, 0 to change, 0 to delete; ${APIS + 5} as they should be\n`,
    });
    expect(await roundTrip(master)).toMatch(/Applied: dev@1\n$/);
  }, 300_000);

  it('comes back from the demo of npm start', async () => {
    const rig = await LocalRig.start();
    started.push(rig);
    const told = await roundTrip({ server: rig.summary.master, token: rig.summary.adminToken });
    expect(told).toContain('+ api echo:v1\n');
    expect(told).toContain('+ environment prod\n');
  }, 180_000);
});

function api(n: number): object {
  const routes = Array.from({ length: ROUTES }, (_, r) => ({
    method: r % 2 ? 'GET' : 'POST',
    path: `/resources-${r}/{id}/items`,
    id: `operation-${r}`,
  }));
  const upstream = { targets: [{ url: `http://10.0.0.1:${8000 + n}` }] };
  const definition = { routes, upstream, security: 'key', plans: ['gold'] };
  return { kind: 'api', name: `api-${n}`, version: 'v1', definition, serve: { dev: '*' } };
}
