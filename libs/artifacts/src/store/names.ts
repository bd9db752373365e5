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
  const digits = String(revision).padStart(REVISION_DIGITS, '0');
  if (!Number.isSafeInteger(revision) || revision < 1 || digits.length > REVISION_DIGITS) {
    throw new StoreError(
      'store_bad_name',
      `revision ${revision} is not a whole number from 1 to ${'9'.repeat(REVISION_DIGITS)}`,
    );
  }
  return checked(`${environment}/delta/${digits}`);
}

/** The promoted artifact, for people to read. */
export function releaseName(environment: string, api: string, version: string, digest: string): string {
  return checked(`${environment}/release/${api}/${version}/${digest}.json`);
}

function checked(name: string): string {
  checkName(name);
  return name;
}
