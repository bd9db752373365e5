import { hash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import type { Head } from '#artifacts';
import type { LoneMaster } from './lone-master.js';

const LINES = 500;
const STORED_WITHIN_MS = 180_000;
/** Snapshots and segments are made after the revisions that they are of. */
const SETTLED_MS = 5_000;

export const keyOf = (number: number): string => `bench-key-${number}`;

function* lines(application: string, from: number, to: number): Generator<string> {
  for (let at = from; at < to; at += LINES) {
    let piece = '';
    for (let number = at; number < Math.min(to, at + LINES); number++) {
      const sha256 = hash('sha256', keyOf(number));
      piece += `{"kind":"key","application":"${application}","environment":"prod","sha256":"${sha256}"}\n`;
    }
    yield piece;
  }
}

/** Brings keys `from` up to, without, `to` onto the chain, by their hashes. @returns the revision that has all of them */
export async function importKeys(master: LoneMaster, application: string, from: number, to: number): Promise<number> {
  const { statusCode, body } = await request(`${master.url}/v1/import`, {
    method: 'POST',
    headers: { authorization: `Bearer ${master.adminToken}`, 'content-type': 'application/x-ndjson' },
    body: Readable.from(lines(application, from, to)),
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  let end = '';
  for await (const chunk of body) end = (end + String(chunk)).slice(-4096);
  const last = JSON.parse(end.trim().split('\n').at(-1) ?? '{}') as {
    summary?: { failed: number; revisions: string[] };
  };
  if (statusCode !== 200 || !last.summary || last.summary.failed > 0)
    throw new Error(`the import was answered ${statusCode}: ${end.slice(-500)}`);
  return Math.max(...last.summary.revisions.map((revision) => Number(revision.split('@')[1])));
}

/** Waits until the store's head names a revision or a later one, and no newer snapshot has come for a while. */
export async function storedHead(master: LoneMaster, revision: number): Promise<Head> {
  const path = join(fileURLToPath(master.storeUrl), 'prod', 'head.json');
  const began = performance.now();
  let settled = { snapshot: -1, since: began };
  for (; performance.now() - began < STORED_WITHIN_MS; await sleep(100)) {
    if (!existsSync(path)) continue;
    const head = JSON.parse(readFileSync(path, 'utf8')) as Head;
    const snapshot = head.snapshot?.revision ?? 0;
    if (snapshot !== settled.snapshot || head.revision < revision) settled = { snapshot, since: performance.now() };
    if (performance.now() - settled.since > SETTLED_MS) return head;
  }
  throw new Error(
    `the store had not got revision ${revision} in ${STORED_WITHIN_MS} ms, or made snapshots all the time`,
  );
}
