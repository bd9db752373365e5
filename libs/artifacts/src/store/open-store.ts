import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ArtifactStore, StoreError } from './artifact-store.js';
import { DirectoryStore } from './directory-store.js';
import type { S3Settings } from './s3-client.js';
import { S3Store } from './s3-store.js';

export interface StoreOptions {
  /** where an `s3://` store is; must be there for one */
  s3?: S3Settings;
  /**
   * Makes the directory or the bucket on first use if it is missing, and never again: for whoever writes first. A function is
   * asked each time that it would be made: whoever knows that it was there before does not want an empty one in its place.
   */
  create?: boolean | (() => Promise<boolean>);
  /** bound of each call, in ms */
  timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PREFIX = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;
/** an S3 key has at most 1,024 bytes, and a name takes up to 512 of them */
const MAX_PREFIX = 500;

/**
 * The store at `file:///directory` or `s3://bucket/prefix`; touches neither disk nor network yet.
 *
 * @throws StoreError `store_bad_name`, saying what is wrong with the address or the settings
 */
export function openStore(url: string, options: StoreOptions = {}): ArtifactStore {
  const { s3, create = false, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const mayMake = typeof create === 'function' ? create : () => Promise.resolve(create);
  // The URL itself is not shown: somebody may have put credentials into it.
  if (!URL.canParse(url)) throw badAddress('it is not a URL');
  const parsed = new URL(url);
  if (parsed.username || parsed.password)
    throw badAddress('credentials do not belong into it, but into S3_ACCESS_KEY and S3_SECRET_KEY');
  if (parsed.search || parsed.hash) throw badAddress('it has a "?" or "#" part');
  switch (parsed.protocol) {
    case 'file:':
      return new DirectoryStore(directoryOf(parsed), { mayMake, timeoutMs });
    case 's3:':
      return new S3Store(bucketOf(parsed), prefixOf(parsed), checked(s3), { mayMake, timeoutMs });
    default:
      throw badAddress(`its scheme ${JSON.stringify(parsed.protocol)} is unknown`);
  }
}

/** @throws StoreError */
export function directoryOf(url: URL): string {
  if (url.host !== '') throw badAddress(`file://${url.host} names a machine; a local directory has three slashes`);
  try {
    return resolve(fileURLToPath(url));
  } catch (error) {
    throw badAddress(`its path cannot be used: ${(error as Error).message}`);
  }
}

function bucketOf(url: URL): string {
  if (BUCKET.test(url.hostname) && !url.port) return url.hostname;
  throw badAddress(`${JSON.stringify(url.host)} is not a bucket: 3 to 63 lower-case letters, digits, dots and dashes`);
}

function prefixOf(url: URL): string {
  const prefix = url.pathname.replace(/^\/|\/$/g, '');
  if (prefix === '' || (PREFIX.test(prefix) && prefix.length <= MAX_PREFIX)) return prefix;
  throw badAddress(
    `its prefix ${JSON.stringify(prefix)} is not segments of letters, digits, "." "_" "-" joined by "/", ` +
      `none beginning with a dot, at most ${MAX_PREFIX} characters`,
  );
}

function checked(s3: S3Settings | undefined): S3Settings {
  if (!s3?.accessKey || !s3.secretKey)
    throw badAddress('an s3:// store needs S3_ENDPOINT, S3_ACCESS_KEY and S3_SECRET_KEY');
  const endpoint = URL.canParse(s3.endpoint) ? new URL(s3.endpoint) : undefined;
  const plain = endpoint && /^https?:$/.test(endpoint.protocol) && `${endpoint.origin}/` === endpoint.href;
  if (!plain)
    throw badAddress('S3_ENDPOINT is not of the form http://host:port or https://host, without path or credentials');
  return s3;
}

function badAddress(problem: string): StoreError {
  return new StoreError(
    'store_bad_name',
    `the artifact store's address cannot be used: ${problem}; expected file:///directory or s3://bucket/prefix`,
  );
}
