import { StoreError } from './artifact-store.js';

const MAX_NAME = 512;
/** what a file name may have on every file system in use */
const MAX_SEGMENT = 255;
/** A segment does not begin with a dot: that rules out `..`, and leaves `.tmp` to the directory store. */
const NAME = /^[a-z0-9_-][a-z0-9._-]*(\/[a-z0-9_-][a-z0-9._-]*)*$/;
/** 30 years at 1,000 revisions a second, and listings of it sort */
const REVISION_DIGITS = 12;

/** Throws `store_bad_name` unless `name` can be an object's name in every store. */
export function checkName(name: string): void {
  if (name.length > MAX_NAME || !NAME.test(name) || name.split('/').some((segment) => segment.length > MAX_SEGMENT)) {
    const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}...` : name);
    throw new StoreError(
      'store_bad_name',
      `${shown} is not an object name: it is segments of a-z 0-9 . _ - joined by "/", none of them empty, beginning ` +
        `with a dot or over ${MAX_SEGMENT} long, at most ${MAX_NAME} in all`,
    );
  }
}

/** The only object of a chain that changes. */
export function headName(environment: string): string {
  return checked(`${environment}/head.json`);
}

/** One revision's exact bytes. */
export function deltaName(environment: string, revision: number): string {
  return checked(`${environment}/delta/${digitsOf('revision', revision, 1)}`);
}

/** The changes of 64^level revisions in one object. */
export function segmentName(environment: string, level: number, index: number): string {
  if (!Number.isInteger(level) || level < 1 || level > 3)
    throw new StoreError('store_bad_name', `level ${level} of a segment is not 1, 2 or 3`);
  return checked(`${environment}/segment/${level}/${digitsOf('segment', index, 0)}`);
}

/** The manifest of the state at a revision. */
export function snapshotName(environment: string, revision: number): string {
  return checked(`${environment}/snapshot/${digitsOf('revision', revision, 1)}`);
}

/** The content of one bucket. @param sha256 in hexadecimal */
export function blobName(environment: string, sha256: string): string {
  if (!/^[0-9a-f]{64}$/.test(sha256))
    throw new StoreError('store_bad_name', `${JSON.stringify(sha256.slice(0, 80))} is not a SHA-256 in hexadecimal`);
  return checked(`${environment}/blob/${sha256}`);
}

/** The promoted artifact, for people to read. */
export function releaseName(environment: string, api: string, version: string, digest: string): string {
  return checked(`${environment}/release/${api}/${version}/${digest}.json`);
}

function checked(name: string): string {
  checkName(name);
  return name;
}

function digitsOf(what: string, number: number, least: number): string {
  const digits = String(number).padStart(REVISION_DIGITS, '0');
  if (!Number.isSafeInteger(number) || number < least || digits.length > REVISION_DIGITS) {
    throw new StoreError(
      'store_bad_name',
      `${what} ${number} is not a whole number from ${least} to ${'9'.repeat(REVISION_DIGITS)}`,
    );
  }
  return digits;
}
