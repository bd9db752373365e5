/**
 * What a newcomer and an operator feel: start-up, the time from a write to every region through the store alone, bytes of a new
 * key on the wire, and writes per second of the REST API. Everything on this machine, on loopback; about two minutes.
 *
 *   npm run bench
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Pool } from 'undici';
import { isolatedStart } from './isolated-replica.js';
import { type LocalSystem, Rig } from './local-system.js';
import { machineLine, quantile, spread } from './machine.js';

const PROPAGATIONS = 40;
const CLIENTS = 16;
const WRITE_MS = 10_000;

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  // bodies of several shapes
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any;
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);

class Master {
  private readonly pool: Pool;

  constructor(private readonly system: LocalSystem) {
    this.pool = new Pool(system.master, { connections: CLIENTS });
  }

  async call(method: 'GET' | 'POST' | 'PUT', path: string, body?: unknown, type = 'application/json'): Promise<Answer> {
    const response = await this.pool.request({
      method,
      path,
      headers: {
        authorization: `Bearer ${this.system.adminToken}`,
        ...(body === undefined ? {} : { 'content-type': type }),
      },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await response.body.text();
    if (response.statusCode >= 300) throw new Error(`${method} ${path}: ${response.statusCode} ${text}`);
    return {
      status: response.statusCode,
      headers: response.headers,
      body: type === 'application/json' && text ? JSON.parse(text) : text,
    };
  }

  close(): Promise<void> {
    return this.pool.close();
  }
}

async function startUps(rig: Rig): Promise<LocalSystem> {
  const first = await rig.start();
  await rig.stop();
  const second = await rig.start();
  say(
    `start-up, first (initdb, migrations, demo published and served in both regions): ${Math.round(first.tookMs)} ms`,
  );
  say(`start-up, second (everything kept): ${Math.round(second.tookMs)} ms`);
  return second.system;
}

async function newApplication(master: Master): Promise<string> {
  const { body } = await master.call('POST', '/v1/applications', { name: 'bench' });
  await master.call('POST', '/v1/subscriptions', { application: body.id, api: 'echo:v1', plan: await planOf(master) });
  return body.id;
}

async function planOf(master: Master): Promise<string> {
  const { body } = await master.call('GET', '/v1/subscriptions?api=echo:v1&limit=1');
  return body.items[0].plan;
}

/** From the moment a write was answered to the first 200 of each region's gateway, asked every few milliseconds. */
async function propagation(system: LocalSystem, master: Master): Promise<void> {
  const application = await newApplication(master);
  const path = new URL(system.demo.url).pathname;
  const last: number[] = [];
  for (let i = 0; i < PROPAGATIONS; i++) {
    const { body } = await master.call('POST', `/v1/applications/${application}/keys`, { environment: 'prod' });
    const answered = performance.now();
    const times = await Promise.all(
      system.regions.map((region) => served(region.gateway + path, body.secret, answered)),
    );
    last.push(Math.max(...times));
    await sleep(Math.random() * 500); // not in step with the replicas' polls
  }
  say(`write answered -> key works in both regions, store alone, poll every 2 s: ${spread(last, 'ms')}`);
}

async function served(url: string, key: string, since: number): Promise<number> {
  for (;;) {
    const response = await fetch(url, { headers: { 'x-api-key': key } });
    await response.arrayBuffer();
    if (response.status === 200) return performance.now() - since;
    if (performance.now() - since > 30_000) throw new Error(`${url} still answers ${response.status} after 30 s`);
    await sleep(5);
  }
}

async function bytesPerKey(master: Master): Promise<void> {
  const application = await newApplication(master);
  const one = await master.call('POST', `/v1/applications/${application}/keys`, { environment: 'prod' });
  const second = await master.call('POST', `/v1/applications/${application}/keys`, { environment: 'prod' });
  const lines = Array.from({ length: 100 }, () =>
    JSON.stringify({ kind: 'key', application, environment: 'prod', secret: `bench-${randomUUID()}` }),
  );
  const { body } = await master.call('POST', '/v1/import', lines.join('\n'), 'application/x-ndjson');
  const { summary } = JSON.parse((body as string).trim().split('\n').at(-1) ?? '{}') as {
    summary: { revisions: string[] };
  };
  const bytesOf = async (revision: string): Promise<number> =>
    (await master.call('GET', `/v1/environments/prod/revisions/${revision.split('@')[1]}`)).body.bytes;
  const [batch] = summary.revisions;
  if (!batch) throw new Error('the import says no revision');
  say(
    `bytes of one new key alone, header included: ${await bytesOf(String(second.headers['heliograph-revision']))} (the application's first: ${await bytesOf(String(one.headers['heliograph-revision']))})`,
  );
  say(`bytes a key, 100 in one revision, header included: ${((await bytesOf(batch)) / 100).toFixed(1)} (budget 80)`);
}

/** Keys issued by 16 clients for ten seconds, beside bare one-row transactions of 16 connections on the same PostgreSQL. */
async function writesPerSecond(system: LocalSystem, master: Master, databaseUrl: string): Promise<void> {
  const application = await Promise.all(Array.from({ length: CLIENTS }, () => newApplication(master)));
  const bare = await bareInserts(databaseUrl);
  let written = 0;
  let newest = 0;
  const latencies: number[] = [];
  const end = performance.now() + WRITE_MS;
  await Promise.all(
    application.map(async (id) => {
      while (performance.now() < end) {
        const began = performance.now();
        const { headers } = await master.call('POST', `/v1/applications/${id}/keys`, { environment: 'prod' });
        latencies.push(performance.now() - began);
        newest = Math.max(newest, Number(String(headers['heliograph-revision']).split('@')[1]));
        written += 1;
      }
    }),
  );
  const rate = written / (WRITE_MS / 1000);
  say(
    `REST writes published (issue a key, 16 clients, answered with their revision): ${Math.round(rate)}/s, ${spread(latencies, 'ms')}`,
  );
  say(
    `  reference, bare INSERT + COMMIT of one row on 16 connections to the same PostgreSQL: ${Math.round(bare)}/s; ratio ${(rate / bare).toFixed(2)} (budget 1,500/s)`,
  );
  const began = performance.now();
  await Promise.all(system.regions.map((region) => caughtUp(`${region.admin}/readyz?min=prod@${newest}`)));
  say(`  both regions had all of it ${Math.round(performance.now() - began)} ms after the last write`);
}

async function caughtUp(url: string): Promise<void> {
  for (const end = performance.now() + 60_000; performance.now() < end; await sleep(20)) {
    const response = await fetch(url);
    await response.arrayBuffer();
    if (response.status === 200) return;
  }
  throw new Error(`${url} was not reached in 60 s`);
}

async function bareInserts(databaseUrl: string): Promise<number> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: CLIENTS });
  await pool.query('CREATE TABLE bench_row (id uuid PRIMARY KEY, at timestamptz DEFAULT now())');
  let done = 0;
  const end = performance.now() + WRITE_MS / 2;
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      while (performance.now() < end) {
        await pool.query({ name: 'bench', text: 'INSERT INTO bench_row (id) VALUES ($1)', values: [randomUUID()] });
        done += 1;
      }
    }),
  );
  await pool.query('DROP TABLE bench_row');
  await pool.end();
  return done / (WRITE_MS / 2000);
}

const MANY = 2000;
const PROBES = 60;

/** What one write and one request cost before and after 2,000 APIs of 20 routes are placed. */
async function manyApis(system: LocalSystem, master: Master): Promise<void> {
  const application = await newApplication(master);
  const probe = async (): Promise<{ write: number; request: number }> => {
    const writes: number[] = [];
    const requests: number[] = [];
    for (let i = 0; i < PROBES; i++) {
      writes.push(
        await timed(() => master.call('POST', `/v1/applications/${application}/keys`, { environment: 'prod' })),
      );
      requests.push(
        await timed(async () =>
          (await fetch(system.demo.url, { headers: { 'x-api-key': system.demo.key } })).arrayBuffer(),
        ),
      );
    }
    return { write: quantile(writes, 0.5), request: quantile(requests, 0.5) };
  };
  const before = await probe();
  const routes = Array.from({ length: 20 }, (_, i) => ({ method: 'GET', path: `/resource-${i}/{id}` }));
  const definition = { routes, upstream: { targets: [{ url: 'http://127.0.0.1:9' }] }, security: 'key', plans: [] };
  const items: { api: string; region: string; release: string }[] = [];
  const names = Array.from({ length: MANY }, (_, i) => `bench-${i}`);
  const make = async (): Promise<void> => {
    for (let name = names.pop(); name; name = names.pop()) {
      await master.call('POST', '/v1/apis', { name, version: 'v1' });
      const { body } = await master.call('POST', `/v1/apis/${name}:v1/releases`, { definition });
      items.push({ api: `${name}:v1`, region: '*', release: body.digest });
    }
  };
  const madeMs = await timed(() => Promise.all(Array.from({ length: 8 }, make)));
  const placedMs = await timed(() => master.call('POST', '/v1/placements', { environment: 'prod', items }));
  const { headers } = await master.call('POST', `/v1/applications/${application}/keys`, { environment: 'prod' });
  const min = String(headers['heliograph-revision']);
  const servedMs = await timed(() =>
    Promise.all(system.regions.map((region) => caughtUp(`${region.admin}/readyz?min=${min}`))),
  );
  const after = await probe();
  say(
    `${MANY} APIs of 20 routes: made in ${Math.round(madeMs)} ms, placed in ${Math.round(placedMs)} ms, served in both regions ${Math.round(servedMs)} ms later`,
  );
  say(
    `  one write: p50 ${before.write.toFixed(1)} ms before, ${after.write.toFixed(1)} ms after (x ${(after.write / before.write).toFixed(2)})`,
  );
  say(
    `  one request: p50 ${before.request.toFixed(2)} ms before, ${after.request.toFixed(2)} ms after (x ${(after.request / before.request).toFixed(2)})`,
  );
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/** A replica on a copy of eu-west's disk, with nothing else reachable: from the start of the process to the first answer. */
async function restartFromDisk(system: LocalSystem, rigHome: string): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) times.push(await isolatedStart(rigHome, system.demo));
  say(`a replica from its disk alone, process start -> first 200 of the gateway: ${spread(times, 'ms')}`);
}

const rig = new Rig();
try {
  say(machineLine());
  const system = await startUps(rig);
  const master = new Master(system);
  await propagation(system, master);
  await bytesPerKey(master);
  await writesPerSecond(system, master, rig.databaseUrl());
  await manyApis(system, master);
  await restartFromDisk(system, rig.home);
  await master.close();
} finally {
  await rig.remove();
}
