import { hash } from 'node:crypto';
import { deltaName, headName } from '#artifacts';
import type { StateStore } from '../state/state-store.js';

export interface Artifact {
  bytes: Buffer;
  /** opaque; equal ones mean equal bytes */
  etag: string;
}

const DELTA = /^[a-z0-9-]{1,32}\/delta\/(\d{12})$/;

/** What others may follow from this replica: the newest head whose revision is here, and the revisions that it keeps. */
export class ChainShelf {
  constructor(
    private readonly state: StateStore,
    private readonly head: () => Buffer | null,
  ) {}

  /** @param name as in a store; null for what is not kept here, or is no artifact at all */
  find(name: string): Artifact | null {
    const { environment } = this.state.position;
    if (name === headName(environment)) return tagged(this.head());
    const revision = Number(DELTA.exec(name)?.[1]);
    if (!(revision >= 1) || name !== deltaName(environment, revision)) return null;
    return tagged(this.state.delta(revision));
  }
}

function tagged(bytes: Buffer | null): Artifact | null {
  return bytes && { bytes, etag: hash('sha256', bytes, 'hex').slice(0, 32) };
}
