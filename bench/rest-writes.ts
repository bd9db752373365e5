import { TABLE } from '#model';
import pg from 'pg';
import { bareRows, postgresVersion } from './bare-rows.js';
import { cpuEach, cpuTime } from './cpu-time.js';
import { type LoneMaster, MasterCalls, startLoneMaster } from './lone-master.js';
import { machineLine, quantile, spread } from './machine.js';
import { numbersFrom, say } from './options.js';

const options = numbersFrom(
  `
Writes through the REST API: 16 clients issue keys, each waits for its answer, which names the revision that carries the key.
In the same run, in turns, the floor: bare one-row transactions on 16 connections to the same PostgreSQL. Master, PostgreSQL
and clients share this machine; there are no replicas.`,
  { seconds: 5, rounds: 3 },
);
const ms = options.seconds * 1000;
const CLIENTS = 16;
const BUDGET = 1_500;

interface Taken {
  rate: number;
  latencies: number[];
  written: number;
}

async function issueKeys(calls: MasterCalls, applications: readonly string[]): Promise<Taken> {
  const latencies: number[] = [];
  const began = performance.now();
  await Promise.all(
    applications.map(async (application) => {
      while (performance.now() - began < ms) {
        const from = performance.now();
        const { headers } = await calls.call('POST', `/v1/applications/${application}/keys`, { environment: 'prod' });
        if (!/^prod@\d+$/.test(String(headers['heliograph-revision'])))
          throw new Error(`an answer without its revision: ${JSON.stringify(headers)}`);
        latencies.push(performance.now() - from);
      }
    }),
  );
  return { rate: latencies.length / ((performance.now() - began) / 1000), latencies, written: latencies.length };
}

function cpus(master: LoneMaster): { master: number | null; postgres: number | null; clients: number | null } {
  return { master: cpuTime(master.pid), postgres: cpuTime(master.postgresPid), clients: ownCpuTime() };
}

function ownCpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Every write that was answered has to be on the chain by now, and nothing else. */
async function published(databaseUrl: string): Promise<{ keys: number; revisions: number; bytes: number }> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  const { rows } = await client.query<{ keys: string; revisions: string; bytes: string }>(
    `SELECT (SELECT count(*) FROM published_entry WHERE environment_id = 'prod' AND table_id = ${TABLE.key}) AS keys,
       (SELECT count(*) FROM revision WHERE environment_id = 'prod') AS revisions,
       (SELECT coalesce(sum(octet_length(bytes)), 0) FROM revision WHERE environment_id = 'prod') AS bytes`,
  );
  await client.end();
  const [row] = rows;
  return { keys: Number(row?.keys), revisions: Number(row?.revisions), bytes: Number(row?.bytes) };
}

async function measure(master: LoneMaster): Promise<void> {
  const calls = new MasterCalls(master.url, master.adminToken, CLIENTS);
  await calls.call('POST', '/v1/environments', { id: 'prod', position: 1 });
  const applications = await Promise.all(
    Array.from(
      { length: CLIENTS },
      async () => (await calls.call('POST', '/v1/applications', { name: 'bench' })).body.id,
    ),
  );
  const rates: number[] = [];
  const floors: number[] = [];
  const latencies: number[] = [];
  let written = 0;
  for (let round = 0; round < options.rounds; round++) {
    const floor = await bareRows(master.databaseUrl, CLIENTS, ms);
    const before = cpus(master);
    const taken = await issueKeys(calls, applications);
    const after = cpus(master);
    const each = (who: 'master' | 'postgres' | 'clients'): string => cpuEach(before[who], after[who], taken.written);
    say(
      `round ${round + 1}: ${Math.round(taken.rate)} writes/s, ${spread(taken.latencies, 'ms')}; floor ${Math.round(floor)}/s; ratio ${(taken.rate / floor).toFixed(2)}; CPU a write: master ${each('master')}, PostgreSQL ${each('postgres')}, clients ${each('clients')}`,
    );
    rates.push(taken.rate);
    floors.push(floor);
    latencies.push(...taken.latencies);
    written += taken.written;
  }
  const { keys, revisions, bytes } = await published(master.databaseUrl);
  if (keys !== written) throw new Error(`${written} writes were answered, and the chain has ${keys} keys`);
  const rate = quantile(rates, 0.5);
  const floor = quantile(floors, 0.5);
  say(
    `REST writes, ${CLIENTS} clients, answered with their revision: ${Math.round(rate)}/s (budget ${BUDGET}/s), ${spread(latencies, 'ms')}`,
  );
  say(
    `  floor, bare one-row transactions, ${CLIENTS} connections: ${Math.round(floor)}/s; ratio ${(rate / floor).toFixed(2)}`,
  );
  say(
    `  all ${keys} keys are on the chain, in ${revisions} revisions: ${(keys / revisions).toFixed(1)} keys and ${Math.round(bytes / revisions)} bytes a revision`,
  );
  await calls.close();
}

const master = await startLoneMaster();
try {
  say(`${machineLine()}, ${await postgresVersion(master.databaseUrl)}`);
  await measure(master);
} finally {
  await master.stop();
}
