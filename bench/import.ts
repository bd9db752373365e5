import { readFileSync } from 'node:fs';
import { TABLE } from '#model';
import pg from 'pg';
import { bareRows, postgresVersion } from './bare-rows.js';
import { importLines, keyLines } from './bulk.js';
import { cpuTime } from './cpu-time.js';
import { type LoneMaster, MasterCalls, startLoneMaster } from './lone-master.js';
import { machineLine } from './machine.js';
import { numbersFrom, say } from './options.js';

const { keys, applications } = numbersFrom(
  `
Imports keys as hashes through POST /v1/import, as NDJSON made while it is sent, and waits until the chain has all of them.
In the same run, before and after, the floor: bare one-row transactions on 16 connections. Master, PostgreSQL and client share
this machine; there are no replicas.`,
  { keys: 1_000_000, applications: 1_000 },
);
const BUDGET_S = 120;
const BUDGET_KEYS = 1_000_000;
const CLIENTS = 16;
const FLOOR_MS = 2_000;

/** Most resident memory of the master, in MiB, or null where there is no /proc. */
function peakMemory(pid: number): number | null {
  try {
    const kib = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kib === undefined ? null : Math.round(Number(kib) / 1024);
  } catch {
    return null;
  }
}

async function measure(master: LoneMaster): Promise<void> {
  const calls = new MasterCalls(master.url, master.adminToken, 1);
  await calls.call('POST', '/v1/environments', { id: 'prod', position: 1 });
  await calls.close();
  const floors = [await bareRows(master.databaseUrl, CLIENTS, FLOOR_MS)];
  const cpuBefore = [cpuTime(master.pid) ?? 0, cpuTime(master.postgresPid) ?? 0] as const;
  const began = performance.now();
  const summary = await importLines(master, keyLines(keys, applications));
  const seconds = (performance.now() - began) / 1000;
  const cpuAfter = [cpuTime(master.pid) ?? 0, cpuTime(master.postgresPid) ?? 0] as const;
  floors.push(await bareRows(master.databaseUrl, CLIENTS, FLOOR_MS));
  if (summary.failed > 0 || summary.created !== keys + applications || summary.revisions.length !== 1)
    throw new Error(`not all lines were imported and published: ${JSON.stringify(summary)}`);

  const client = new pg.Client(master.databaseUrl);
  await client.connect();
  const { rows } = await client.query<{ keys: string; revisions: string; bytes: string; most: string }>(
    `SELECT (SELECT count(*) FROM published_entry WHERE table_id = ${TABLE.key}) AS keys,
       count(*) AS revisions, max(ops) AS most, sum(octet_length(bytes)) AS bytes FROM revision`,
  );
  await client.end();
  const [row] = rows;
  if (Number(row?.keys) !== keys) throw new Error(`the chain has ${row?.keys} of ${keys} keys`);
  say(
    `${keys} keys of ${applications} applications, imported and published: ${seconds.toFixed(1)} s, ${Math.round(keys / seconds)} keys/s (budget ${BUDGET_S} s for ${BUDGET_KEYS})`,
  );
  say(
    `  ${row?.revisions} revisions of at most ${row?.most} ops, ${(Number(row?.bytes) / keys).toFixed(1)} bytes a key; the master had at most ${peakMemory(master.pid)} MiB`,
  );
  say(
    `  CPU for 1,000 keys: master ${(((cpuAfter[0] - cpuBefore[0]) / keys) * 1000).toFixed(0)} ms, PostgreSQL ${(((cpuAfter[1] - cpuBefore[1]) / keys) * 1000).toFixed(0)} ms`,
  );
  const floor = (floors[0] ?? 0) / 2 + (floors[1] ?? 0) / 2;
  say(
    `  floor, bare one-row transactions, ${CLIENTS} connections: ${floors.map(Math.round).join(' and ')}/s; ratio ${(keys / seconds / floor).toFixed(2)}`,
  );
}

const master = await startLoneMaster();
try {
  say(`${machineLine()}, ${await postgresVersion(master.databaseUrl)}`);
  await measure(master);
} finally {
  await master.stop();
}
