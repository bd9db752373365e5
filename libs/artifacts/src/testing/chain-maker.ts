import { hash } from 'node:crypto';
import type { Op } from '#model';
import { type Head, sealHead } from '../chain/head.js';
import {
  type ChainPosition,
  GENESIS_HASH,
  positionAfter,
  type SealedRevision,
  sealRevision,
} from '../chain/revision.js';
import { newSigningKeyPem, type Signer, signerFromPem } from '../chain/signing.js';
import { StateRoot } from '../chain/state-root.js';
import { encodeSigned, type RevisionHeader } from '../format/header.js';
import { type ArtifactStore, deltaName, headName } from '../store/index.js';

/** How long a head counts as fresh, in milliseconds. */
const FRESH_MS = 90_000;

/** A chain as a master makes it, without one: it keeps the state, seals revisions and heads, and writes them to a store. */
export class ChainMaker {
  readonly signer: Signer;
  position: ChainPosition;
  private root = StateRoot.empty();
  private readonly values = new Map<string, Buffer>();

  constructor(environment = 'prod', epoch = 1, signer = signerFromPem(newSigningKeyPem())) {
    this.signer = signer;
    this.position = { environment, epoch, revision: 0, hash: GENESIS_HASH };
  }

  /** Every entry that the chain holds now, table and key in hexadecimal. */
  get entries(): ReadonlyMap<string, Buffer> {
    return this.values;
  }

  /** The next revision; `header` overrides what a right one would say, for wrong ones. */
  seal(ops: readonly Op[], issuedAt = Date.now(), header: Partial<RevisionHeader> = {}): SealedRevision {
    for (const { table, key, value } of ops) {
      const name = entryNameOf(table, key);
      this.root.change(table, key, this.values.get(name) ?? null, value);
      if (value) this.values.set(name, value);
      else this.values.delete(name);
    }
    const right = sealRevision(this.position, ops, this.root.root(), issuedAt, this.signer);
    const sealed = Object.keys(header).length > 0 ? resealed(right, header, this.signer) : right;
    this.position = positionAfter(sealed);
    return sealed;
  }

  /** A head that names the newest revision, or what `fields` say. */
  head(fields: Partial<Head> = {}): Buffer {
    const { environment, epoch, revision, hash: chainHash } = this.position;
    const issuedAt = fields.issuedAt ?? Date.now();
    const right = {
      environment,
      epoch,
      revision,
      hash: chainHash.toString('hex'),
      root: this.root.root().toString('hex'),
    };
    return sealHead({ ...right, issuedAt, expiresAt: issuedAt + FRESH_MS, ...fields }, this.signer);
  }

  /** Seals, and writes the delta, then the head, as a publisher does. */
  async publish(store: ArtifactStore, ops: readonly Op[]): Promise<SealedRevision> {
    const sealed = this.seal(ops);
    await store.create(deltaName(this.position.environment, sealed.header.revision), sealed.bytes);
    await this.putHead(store);
    return sealed;
  }

  async putHead(store: ArtifactStore, head = this.head()): Promise<void> {
    const name = headName(this.position.environment);
    const current = await store.get(name, Number.MAX_SAFE_INTEGER);
    await store.replace(name, head, current?.etag ?? null);
  }
}

export function entryNameOf(table: number, key: Buffer): string {
  return Buffer.concat([Buffer.of(table), key]).toString('hex');
}

function resealed({ header, bytes }: SealedRevision, changes: Partial<RevisionHeader>, signer: Signer): SealedRevision {
  const changed = { ...header, ...changes };
  const signed = encodeSigned(changed);
  const body = bytes.subarray(bytes.length - header.bodyLength);
  return {
    header: changed,
    hash: hash('sha256', signed, 'buffer'),
    bytes: Buffer.concat([signed, signer.sign(signed), body]),
  };
}
