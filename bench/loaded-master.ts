import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import type { Head } from '#artifacts';
import type { LoneMaster } from './lone-master.js';

const LINES = 500;
const STORED_WITHIN_MS = 120_000;

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

/** Waits until the store's head names a revision or a later one, and its snapshot is as new as it gets. */
export async function storedHead(master: LoneMaster, revision: number, snapshotFrom: number): Promise<Head> {
  const path = join(fileURLToPath(master.storeUrl), 'prod', 'head.json');
  for (const began = performance.now(); ; await sleep(100)) {
    const late = performance.now() - began > STORED_WITHIN_MS;
    try {
      const head = JSON.parse(readFileSync(path, 'utf8')) as Head;
      const complete = head.revision >= revision;
      if (complete && ((head.snapshot?.revision ?? 0) >= snapshotFrom || late)) return head;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    if (late) throw new Error(`the store had not got revision ${revision} in ${STORED_WITHIN_MS} ms`);
  }
}
