import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { positionAfter, StateRoot, TrustedKeys, verifyRevision } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { build } from '#harness';
import type { Op } from '#model';
import { openTables } from '../state/state-database.js';
import { entryName } from '../state/state-layout.js';
import { type Applied, StateStore } from '../state/state-store.js';

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'helio-replica-'));
}

build(); // the thread that writes a state runs from dist/

/** A state on the disk, and a chain that it follows. */
export class StateFixture {
  readonly chain = new ChainMaker();
  readonly trusted = new TrustedKeys([this.chain.signer.publicKey]);
  readonly directory = temporaryDirectory();
  store = StateStore.open(this.directory, 'prod');

  /** Seals the ops as the next revision, and applies it. */
  async apply(...ops: Op[]): Promise<void> {
    await this.applyBytes(this.chain.seal(ops).bytes);
  }

  async applyBytes(bytes: Buffer): Promise<void> {
    await this.store.apply(verifyRevision(bytes, this.store.chainPosition, this.trusted), Date.now());
  }

  async applyTogether(all: readonly Buffer[]): Promise<Applied> {
    let place = this.store.chainPosition;
    const revisions = all.map((bytes) => {
      const revision = verifyRevision(bytes, place, this.trusted);
      place = positionAfter(revision);
      return revision;
    });
    return this.store.applyTogether(revisions, Date.now());
  }

  async reopen(): Promise<void> {
    await this.store.close();
    this.store = StateStore.open(this.directory, 'prod');
  }

  /** What is served under an entry's name; null for nothing. */
  served(op: Op): Buffer | null {
    const snapshot = this.store.snapshot();
    try {
      return snapshot.get(op.table, op.key);
    } finally {
      snapshot.close();
    }
  }

  async end(): Promise<void> {
    await this.store.close();
    rmSync(this.directory, { recursive: true });
  }
}

/** Changes what a state that nobody has open stores, behind the back of its sums: as a disk does that lies. */
export async function spoil(directory: string, ...ops: Op[]): Promise<void> {
  const { entries, root } = openTables(directory, false);
  for (const { key, table, value } of ops) {
    if (value) entries.putSync(entryName(table, key), value);
    else entries.removeSync(entryName(table, key));
  }
  await root.close();
}

/** The state root of entries, named by table and key in hexadecimal, computed from nothing. */
export function rootOf(entries: ReadonlyMap<string, Buffer>): string {
  const root = StateRoot.empty();
  for (const [name, value] of entries) {
    const bytes = Buffer.from(name, 'hex');
    root.change(bytes.readUInt8(0), bytes.subarray(1), null, value);
  }
  return root.root().toString('hex');
}
