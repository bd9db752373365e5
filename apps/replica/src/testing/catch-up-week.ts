import { hash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  type ArtifactReader,
  type ArtifactStore,
  deltaName,
  openStore,
  segmentName,
  segmentRange,
  TrustedKeys,
  verifyHead,
} from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { encodeKeyRecord, KEY_ID_BYTES, type Op, TABLE } from '#model';
import { createLog } from '#platform';
import { StateStore } from '../state/state-store.js';
import { CatchUp } from '../sync/catch-up/index.js';

export interface Week {
  /** keys that there are, keys that change while the replica is away, and how many a revision changes */
  keys: number;
  changed: number;
  perRevision: number;
}

export interface Trip {
  ms: number;
  /** processor time of all threads */
  cpuMs: number;
  /** that were read from the source */
  bytes: number;
  objects: number;
  /** of the state's file, after it */
  diskBytes: number;
  /** by how much this process has grown, at the most, while it went */
  grownRss: number;
}

/** What the source was asked for. */
export class CountingReader implements ArtifactReader {
  bytes = 0;
  readonly names: string[] = [];

  constructor(private readonly reader: ArtifactReader) {}

  get description(): string {
    return this.reader.description;
  }

  async get(name: string, limitBytes: number, signal?: AbortSignal): ReturnType<ArtifactReader['get']> {
    const object = await this.reader.get(name, limitBytes, signal);
    this.names.push(name);
    this.bytes += object?.bytes.length ?? 0;
    return object;
  }

  getIfChanged(...args: Parameters<ArtifactReader['getIfChanged']>): ReturnType<ArtifactReader['getIfChanged']> {
    return this.reader.getIfChanged(...args);
  }

  size(name: string, signal?: AbortSignal): Promise<number | null> {
    return this.reader.size(name, signal);
  }

  close(): Promise<void> {
    return this.reader.close();
  }
}

/** A replica starts cold from a store that has a snapshot, is away while keys change, and comes back. */
export async function weekOffline({ changed, keys, perRevision }: Week): Promise<{
  cold: Trip;
  week: Trip & { changedBytes: number };
}> {
  const directory = mkdtempSync(join(tmpdir(), 'helio-week-'));
  const store = openStore(pathToFileURL(join(directory, 'store')).href, { create: true });
  const chain = new ChainMaker();
  try {
    for (let from = 0; from < keys; from += 50_000)
      chain.seal(Array.from({ length: Math.min(50_000, keys - from) }, (_, i) => key(from + i, false)));
    await chain.putSnapshot(store);
    const first = chain.position.revision;
    const cold = await travel(directory, chain, store);
    const step = Math.max(1, Math.floor(keys / changed));
    let changedBytes = 0;
    for (let at = 0; at < changed; at += perRevision) {
      const ops = Array.from({ length: Math.min(perRevision, changed - at) }, (_, i) => key((at + i) * step, true));
      const { bytes, header } = chain.seal(ops);
      changedBytes += header.bodyLength;
      await store.create(deltaName('prod', header.revision), bytes);
    }
    await putSegmentsAfter(first, chain, store);
    await chain.putHead(store);
    return { cold, week: { ...(await travel(directory, chain, store)), changedBytes } };
  } finally {
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function travel(directory: string, chain: ChainMaker, store: ArtifactStore): Promise<Trip> {
  const state = StateStore.open(directory, 'prod');
  const reader = new CountingReader(store);
  const trusted = new TrustedKeys([chain.signer.publicKey]);
  const rss = process.memoryUsage.rss();
  let peakRss = rss;
  const timer = setInterval(() => (peakRss = Math.max(peakRss, process.memoryUsage.rss())), 20);
  try {
    const options = {
      reader,
      state,
      trusted: () => trusted,
      check: () => undefined,
      log: createLog('test', 'silent'),
      onApplied: () => undefined,
    };
    const began = performance.now();
    const cpu = process.cpuUsage();
    await new CatchUp(options).run(verifyHead(chain.head(), 'prod', trusted), new AbortController().signal);
    const ms = performance.now() - began;
    const { system, user } = process.cpuUsage(cpu);
    const cpuMs = (system + user) / 1000;
    return {
      ms,
      cpuMs,
      bytes: reader.bytes,
      objects: reader.names.length,
      diskBytes: state.diskBytes(),
      grownRss: peakRss - rss,
    };
  } finally {
    clearInterval(timer);
    await state.close();
  }
}

/** Without those that would cover what lies before the snapshot: with a million keys they are too large to be made. */
async function putSegmentsAfter(first: number, chain: ChainMaker, store: ArtifactStore): Promise<void> {
  for (let level = 1; level <= 3; level++) {
    for (let index = 0; segmentRange(level, index).last <= chain.position.revision; index++) {
      if (segmentRange(level, index).first > first)
        await store.create(segmentName('prod', level, index), chain.segment(level, index));
    }
  }
}

const APPLICATION = '0b7a9c51-5f6f-4a55-9d5e-6b0a3c1f2d4e';

function key(number: number, revoked: boolean): Op {
  const id = hash('sha256', `key ${number}`, 'buffer').subarray(0, KEY_ID_BYTES);
  return {
    table: TABLE.key,
    key: Buffer.from(id),
    value: encodeKeyRecord({ application: APPLICATION, revoked, expiresAt: null }),
  };
}
