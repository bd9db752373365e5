import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type ArtifactReader, openStore, TrustedKeys } from '#artifacts';
import { createLog } from '#platform';
import { StateStore } from '../apps/replica/src/state/state-store.js';
import { StoreSource } from '../apps/replica/src/sync/revision-source.js';
import { SyncAgent } from '../apps/replica/src/sync/sync-agent.js';
import { postgresVersion } from './bare-rows.js';
import { importKeys, storedHead } from './loaded-master.js';
import { type LoneMaster, MasterCalls, startLoneMaster } from './lone-master.js';
import { machineLine } from './machine.js';
import { numbersFrom, say } from './options.js';
import { prepareProd } from './regions.js';

const options = numbersFrom(
  `
A replica has a chain with many keys on its disk and is away for a week, in which some keys change: what it fetches from the store
when it is back, in bytes and objects, compared with the bytes of the changes, with the revisions that it missed one by one, and
with all of its state. One replica without gateways, in this process.`,
  { keys: 1_000_000, changed: 10_000, revisions: 500 },
);
const WITHIN_MS = 300_000;

interface Fetched {
  bytes: number;
  objects: Map<string, number>;
}

/** Counts what is really sent: an object that has not changed is not. */
function counted(reader: ArtifactReader, fetched: Fetched): ArtifactReader {
  const count = (name: string, bytes: Buffer): void => {
    const kind = name.split('/')[1] ?? name;
    fetched.bytes += bytes.length;
    fetched.objects.set(kind, (fetched.objects.get(kind) ?? 0) + 1);
  };
  return {
    description: reader.description,
    size: (name, signal) => reader.size(name, signal),
    close: () => reader.close(),
    get: async (name, limit, signal) => {
      const object = await reader.get(name, limit, signal);
      if (object) count(name, object.bytes);
      return object;
    },
    getIfChanged: async (name, etag, limit, signal) => {
      const answer = await reader.getIfChanged(name, etag, limit, signal);
      if (answer.kind === 'object') count(name, answer.object.bytes);
      return answer;
    },
  };
}

/** Follows the store until it has a revision. */
async function catchUp(master: LoneMaster, stateDir: string, revision: number): Promise<Fetched & { ms: number }> {
  const fetched: Fetched = { bytes: 0, objects: new Map() };
  const state = StateStore.open(stateDir, 'prod');
  const reader = counted(openStore(master.storeUrl), fetched);
  const trusted = new TrustedKeys([master.publicKey]);
  const agent = new SyncAgent({
    state,
    sources: [new StoreSource(reader, 'prod')],
    stream: null,
    trusted: () => trusted,
    log: createLog('bench', 'warn'),
    pollMs: 1000,
    streamPollMs: 60_000,
    onHead: () => undefined,
    onApplied: () => undefined,
    onChange: () => undefined,
    onRefused: (code) => say(`refused: ${code}`),
  });
  const stop = new AbortController();
  const began = performance.now();
  const running = agent.run(stop.signal);
  try {
    while (state.position.revision < revision) {
      if (performance.now() - began > WITHIN_MS)
        throw new Error(`at revision ${state.position.revision} of ${revision} after ${WITHIN_MS} ms`);
      await sleep(5);
    }
    return { ...fetched, ms: performance.now() - began };
  } finally {
    stop.abort();
    await running;
    await reader.close();
    await state.close();
  }
}

const shown = ({ bytes, ms, objects }: Fetched & { ms: number }): string =>
  `${bytes.toLocaleString('en')} bytes in ${Math.round(ms).toLocaleString('en')} ms (${[...objects].map(([kind, count]) => `${count} x ${kind}`).join(', ')})`;

/** Of the revisions after one: how many, their bytes, and those of their ops alone. */
async function missed(databaseUrl: string, after: number): Promise<{ count: number; bytes: number; ops: number }> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  const { rows } = await client.query<{ count: string; bytes: string }>(
    `SELECT count(*) AS count, sum(octet_length(bytes)) AS bytes FROM revision WHERE environment_id = 'prod' AND revision > $1`,
    [after],
  );
  await client.end();
  const [count, bytes] = [Number(rows[0]?.count), Number(rows[0]?.bytes)];
  return { count, bytes, ops: bytes - count * HEADER_BYTES };
}
/** of a revision of `prod`, see docs/protocol.md, and its count of ops */
const HEADER_BYTES = 195 + 4 + 2;

const home = mkdtempSync(join(tmpdir(), 'helio-bench-offline-'));
const master = await startLoneMaster();
const calls = new MasterCalls(master.url, master.adminToken, 4);
const { keys, changed, revisions } = options;
try {
  say(`${machineLine()}, ${await postgresVersion(master.databaseUrl)}`);
  const { application, close } = await prepareProd(calls);
  close(); // nobody calls the API
  const before = await importKeys(master, application, 0, keys);
  await storedHead(master, before);
  const stateDir = join(home, 'state');
  mkdirSync(stateDir);
  const first = await catchUp(master, stateDir, before);
  say(`an empty disk, ${keys.toLocaleString('en')} keys in ${before} revisions: ${shown(first)}`);
  let last = before;
  for (let part = 0; part < revisions; part++) {
    const at = (share: number): number => keys + Math.round((changed * share) / revisions);
    last = await importKeys(master, application, at(part), at(part + 1));
  }
  await storedHead(master, last);
  const back = await catchUp(master, stateDir, last);
  const { bytes, count, ops } = await missed(master.databaseUrl, before);
  say(`away while ${changed.toLocaleString('en')} keys changed in ${count} revisions: ${shown(back)}`);
  say(`  ${(back.bytes / ops).toFixed(2)} x the bytes of the changes, ${ops.toLocaleString('en')} (budget 1.2)`);
  say(
    `  ${(back.bytes / bytes).toFixed(2)} x the revisions one by one, ${bytes.toLocaleString('en')} bytes; ${(back.bytes / first.bytes).toFixed(4)} x the whole state`,
  );
} finally {
  await calls.close();
  await master.stop();
  rmSync(home, { recursive: true, force: true });
}
