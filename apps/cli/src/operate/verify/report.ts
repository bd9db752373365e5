import { FormatError, StoreError } from '#artifacts';

/** Something that is not as it was published. */
export interface Fault {
  /** the name of the object in the store */
  object: string;
  code: string;
  detail: string;
}

/** What was found out about one environment of a store. */
export interface ChainReport {
  environment: string;
  /** as it says itself; null: there is none that could be read */
  head: { revision: number; epoch: number; root: string; issuedAt: string; expiresAt: string; keyId: string } | null;
  /** the first and the last revision that were read one by one; null: there were none to read */
  revisions: { first: number; last: number } | null;
  /** proven: they lead to the state that the chain has at their end; alone: by their signature, as what was before them is gone */
  segments: { proven: number; alone: number };
  snapshots: number;
  /** artifacts of releases that are those of the chain */
  releases: number;
  blobs: number;
  /** of the state at the head; null: it could not be made */
  entries: number | null;
  /** that were read */
  bytes: number;
  signatures: 'checked' | 'not checked';
  /** keys that have signed revisions or releases and were not given: those are proven by the hashes that lead to the head */
  otherKeys: string[];
  /** the first ones */
  faults: Fault[];
  faultCount: number;
  notes: string[];
}

const MOST_FAULTS = 100;

export function newReport(environment: string, signatures: ChainReport['signatures']): ChainReport {
  return {
    environment,
    head: null,
    revisions: null,
    segments: { proven: 0, alone: 0 },
    snapshots: 0,
    releases: 0,
    blobs: 0,
    entries: null,
    bytes: 0,
    signatures,
    otherKeys: [],
    faults: [],
    faultCount: 0,
    notes: [],
  };
}

export function addFault(report: ChainReport, object: string, code: string, detail: string): void {
  report.faultCount += 1;
  if (report.faults.length < MOST_FAULTS) report.faults.push({ object, code, detail });
}

/** Notes what is wrong with an object. @throws what is no fault of it: a store that is away, a fault of this program */
export function addThrown(report: ChainReport, object: string, error: unknown): void {
  const ofObject = error instanceof FormatError || (error instanceof StoreError && error.code === 'store_too_large');
  if (!ofObject) throw error;
  addFault(report, object, error.code, error.message);
}
