import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { type Replica, startReplica } from '#harness';
import { importLines, keyLines, makeApis } from './bulk.js';
import { type LoneMaster, MasterCalls, startLoneMaster } from './lone-master.js';
import { machineLine } from './machine.js';
import { memoryTogether } from './memory.js';
import { numbersFrom, say } from './options.js';

const { keys, apis, workers, rest } = numbersFrom(
  `
Memory and disk of a master, PostgreSQL, a store in a directory and a replica: empty, then with keys, then with APIs of 20 routes
besides, a while after the last of it was served. Each replica is started anew on its disk before it is looked at.`,
  { keys: 1_000_000, apis: 10_000, workers: 2, rest: 20 },
);
const CLIENTS = 8;
const MIB = 1024 * 1024;

/** Bytes that the files below a directory take on the disk: a replica's are sparse. */
function diskOf(directory: string): number {
  const files = readdirSync(directory, { recursive: true }).map((name) => join(directory, String(name)));
  return files.reduce((sum, file) => sum + statSync(file).blocks * 512, 0);
}

async function databaseBytes(url: string): Promise<number> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const { rows } = await client.query<{ bytes: string }>('SELECT pg_database_size(current_database()) AS bytes');
    return Number(rows[0]?.bytes);
  } finally {
    await client.end();
  }
}

async function served(replica: Replica, revision: string): Promise<void> {
  for (;;) {
    const { status } = await fetch(`${replica.admin}/readyz?min=${revision}`);
    if (status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function look(what: string, master: LoneMaster, replica: Replica, stateDir: string): Promise<Replica> {
  await replica.stop();
  const again = await replica.again();
  await new Promise((resolve) => setTimeout(resolve, rest * 1000)); // what garbage there is, is collected meanwhile
  const cells = [
    `master ${memoryTogether(master.pid).toFixed(0)} MiB`,
    `replica ${memoryTogether(again.pid).toFixed(0)} MiB`,
    `its disk ${(diskOf(stateDir) / MIB).toFixed(0)} MiB`,
    `PostgreSQL's disk ${((await databaseBytes(master.databaseUrl)) / MIB).toFixed(0)} MiB`,
    `store ${(diskOf(fileURLToPath(master.storeUrl)) / MIB).toFixed(0)} MiB`,
  ];
  say(`${what}: ${cells.join(', ')}`);
  return again;
}

const directory = mkdtempSync(join(tmpdir(), 'helio-bench-sizing-'));
const stateDir = join(directory, 'state');
const master = await startLoneMaster();
const calls = new MasterCalls(master.url, master.adminToken, CLIENTS);
let replica: Replica | undefined;
try {
  say(machineLine());
  await calls.call('POST', '/v1/environments', { id: 'prod', position: 1 });
  await calls.call('POST', '/v1/regions', { id: 'eu-west', environment: 'prod' });
  const { body } = await calls.call('POST', '/v1/join-tokens', { region: 'eu-west' });
  const application = await calls.call('POST', '/v1/applications', { name: 'bench' });
  const write = async (): Promise<string> => {
    const path = `/v1/applications/${application.body.id}/keys`;
    const { headers } = await calls.call('POST', path, { environment: 'prod' });
    return String(headers['heliograph-revision']);
  };
  await write();
  const env = { HELIO_MASTER_URL: master.url, HELIO_JOIN_TOKEN: body.token };
  replica = await startReplica({ environment: 'prod', region: 'eu-west', stateDir, workers, env });
  replica = await look('empty', master, replica, stateDir);
  await importLines(master, keyLines(keys, 1000));
  await served(replica, await write());
  replica = await look(`${keys.toLocaleString('en')} keys`, master, replica, stateDir);
  const items = await makeApis(calls, apis);
  for (let at = 0; at < items.length; at += 1000)
    await calls.call('POST', '/v1/placements', {
      environment: 'prod',
      items: items.slice(at, at + 1000),
      reason: 'bench',
    });
  await served(replica, await write());
  replica = await look(`and ${apis.toLocaleString('en')} APIs of 20 routes`, master, replica, stateDir);
} finally {
  await calls.close();
  await replica?.stop();
  await master.stop();
  rmSync(directory, { recursive: true, force: true });
}
