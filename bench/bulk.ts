import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { request } from 'undici';
import type { MasterCalls } from './lone-master.js';

/** How many requests of `makeApis` are under way. */
const CLIENTS = 8;

export interface ImportSummary {
  created: number;
  failed: number;
  revisions: string[];
}

/** NDJSON for POST /v1/import: applications first, then their keys in `prod` as hashes, in pieces of some hundred lines. */
export function* keyLines(keys: number, applications: number): Generator<string> {
  for (let i = 0; i < applications; i++) yield `{"kind":"application","id":"app-${i}","name":"Application ${i}"}\n`;
  for (let at = 0; at < keys; at += 500) {
    let piece = '';
    for (let i = at; i < Math.min(keys, at + 500); i++) {
      const sha256 = randomBytes(32).toString('hex');
      piece += `{"kind":"key","application":"app-${i % applications}","environment":"prod","sha256":"${sha256}"}\n`;
    }
    yield piece;
  }
}

/** @returns when the last line is on the chain. @throws Error for an answer without a summary */
export async function importLines(
  master: { url: string; adminToken: string },
  lines: Iterable<string>,
): Promise<ImportSummary> {
  const { statusCode, body } = await request(`${master.url}/v1/import`, {
    method: 'POST',
    headers: { authorization: `Bearer ${master.adminToken}`, 'content-type': 'application/x-ndjson' },
    body: Readable.from(lines),
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  let end = '';
  for await (const chunk of body) end = (end + String(chunk)).slice(-4096);
  const last = JSON.parse(end.trim().split('\n').at(-1) ?? '{}') as { summary?: ImportSummary };
  if (statusCode !== 200 || !last.summary) throw new Error(`the import answered ${statusCode}: ${end.slice(-500)}`);
  return last.summary;
}

/** APIs of 20 routes with a release each, not placed. @returns the placements that publish them everywhere */
export async function makeApis(
  calls: MasterCalls,
  count: number,
): Promise<{ api: string; region: string; release: string }[]> {
  const routes = Array.from({ length: 20 }, (_, i) => ({ method: 'GET', path: `/resource-${i}/{id}` }));
  const definition = { routes, upstream: { targets: [{ url: 'http://127.0.0.1:9' }] }, security: 'key', plans: [] };
  const items: { api: string; region: string; release: string }[] = [];
  const names = Array.from({ length: count }, (_, i) => `bench-${i}`);
  const make = async (): Promise<void> => {
    for (let name = names.pop(); name; name = names.pop()) {
      await calls.call('POST', '/v1/apis', { name, version: 'v1' });
      const { body } = await calls.call('POST', `/v1/apis/${name}:v1/releases`, { definition });
      items.push({ api: `${name}:v1`, region: '*', release: body.digest });
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, make));
  return items;
}
