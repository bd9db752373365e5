import { randomUUID } from 'node:crypto';
import { request } from 'undici';
import { type LoneMaster, MasterCalls, startLoneMaster } from './lone-master.js';
import { machineLine } from './machine.js';
import { numbersFrom, say } from './options.js';

const { batch } = numbersFrom(
  `
What a new key costs on the wire to each replica, header included: alone in a revision, and in a batch. Beside it, its hash,
its application's id and when it expires, without anything around them.`,
  { batch: 100 },
);
/** 16 of the hash, 16 of the application, 5 of flags and expiry */
const BARE = 37;

async function importKeys(master: LoneMaster, application: string, count: number): Promise<string> {
  const lines = Array.from({ length: count }, () =>
    JSON.stringify({ kind: 'key', application, environment: 'prod', secret: `bench-${randomUUID()}` }),
  );
  const { body } = await request(`${master.url}/v1/import`, {
    method: 'POST',
    headers: { authorization: `Bearer ${master.adminToken}`, 'content-type': 'application/x-ndjson' },
    body: lines.join('\n'),
  });
  const text = await body.text();
  const { summary } = JSON.parse(text.trim().split('\n').at(-1) ?? '{}') as { summary?: { revisions: string[] } };
  const [revision] = summary?.revisions ?? [];
  if (!revision) throw new Error(`the import names no revision: ${text.slice(-500)}`);
  return revision;
}

const master = await startLoneMaster();
const calls = new MasterCalls(master.url, master.adminToken, 1);
const bytesOf = async (revision: string): Promise<number> =>
  (await calls.call('GET', `/v1/environments/prod/revisions/${revision.split('@')[1]}`)).body.bytes;
try {
  say(machineLine());
  await calls.call('POST', '/v1/environments', { id: 'prod', position: 1 });
  const application = (await calls.call('POST', '/v1/applications', { name: 'bench' })).body.id;
  const issue = async (): Promise<number> => {
    const path = `/v1/applications/${application}/keys`;
    const { headers } = await calls.call('POST', path, { environment: 'prod' });
    return bytesOf(String(headers['heliograph-revision']));
  };
  const first = await issue();
  const second = await issue();
  say(
    `one new key alone: ${second} bytes, ${(second / BARE).toFixed(1)} x its ${BARE} (the application's first: ${first})`,
  );
  const each = (await bytesOf(await importKeys(master, application, batch))) / batch;
  say(
    `a key, ${batch} in one revision: ${each.toFixed(1)} bytes (budget 80), ${(each / BARE).toFixed(2)} x its ${BARE}`,
  );
} finally {
  await calls.close();
  await master.stop();
}
