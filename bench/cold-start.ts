import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { postgresVersion } from './bare-rows.js';
import { cpuTime } from './cpu-time.js';
import { importKeys, keyOf, storedHead } from './loaded-master.js';
import { MasterCalls, startLoneMaster } from './lone-master.js';
import { machineLine, spread } from './machine.js';
import { numbersFrom, say } from './options.js';
import { API_PATH, prepareProd, type Region, Regions } from './regions.js';

const options = numbersFrom(
  `
A replica with an empty disk and many keys in the store (a directory): from the start of its process until it is ready with the
newest revision and its gateway takes a key, and the bytes on its disk. Beside it, only reading the store's files.`,
  { keys: 1_000_000, rounds: 3 },
);
const WITHIN_MS = 300_000;

async function has(region: Region, revision: number, began: number): Promise<number> {
  for (;;) {
    const { statusCode, body } = await request(`${region.admin}/readyz?min=prod@${revision}`);
    await body.dump();
    if (statusCode === 200) return performance.now() - began;
    if (performance.now() - began > WITHIN_MS) throw new Error(`not at revision ${revision} after ${WITHIN_MS} ms`);
    await sleep(5);
  }
}

const filesIn = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
/** what it takes of the disk: files of LMDB can have holes */
const diskBytes = (directory: string): number =>
  filesIn(directory).reduce((sum, file) => sum + statSync(file).blocks * 512, 0);

const master = await startLoneMaster();
const calls = new MasterCalls(master.url, master.adminToken, 4);
const { keys, rounds } = options;
const regions: Regions[] = [];
try {
  say(`${machineLine()}, ${await postgresVersion(master.databaseUrl)}`);
  const { application, close } = await prepareProd(calls);
  const revision = await importKeys(master, application, 0, keys);
  const head = await storedHead(master, revision);
  const from = head.snapshot
    ? `a snapshot of revision ${head.snapshot.revision}, ${head.snapshot.bytes.toLocaleString('en')} bytes`
    : 'no snapshot';
  say(`${keys.toLocaleString('en')} keys, ${head.revision} revisions; the store has ${from}`);
  const [times, cpu, reads]: [number[], number[], number[]] = [[], [], []];
  let disk = 0;
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    const own = new Regions(master, calls);
    regions.push(own);
    const region = await own.add(`cold-${round}`, true);
    times.push(await has(region, revision, began));
    cpu.push(cpuTime(region.pid) ?? Number.NaN);
    const { statusCode, body } = await request(region.gateway + API_PATH, {
      headers: { 'x-api-key': keyOf(keys - 1) },
    });
    await body.dump();
    if (statusCode !== 200) throw new Error(`a key of the newest revision was answered ${statusCode}`);
    disk = diskBytes(region.stateDir);
    await own.stop();
    const read = performance.now();
    for (const file of filesIn(fileURLToPath(master.storeUrl))) readFileSync(file);
    reads.push(performance.now() - read);
  }
  close();
  say(`process start -> ready with all of it (budget 10 s): ${spread(times, 'ms')}; CPU ${spread(cpu, 'ms')}`);
  say(`  ${(disk / keys).toFixed(0)} bytes a key on its disk (budget 100)`);
  say(`  beside it, only reading every file of the store: ${spread(reads, 'ms')}`);
} finally {
  await Promise.all(regions.map((own) => own.stop()));
  await calls.close();
  await master.stop();
}
