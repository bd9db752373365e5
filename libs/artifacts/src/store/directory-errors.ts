import { StoreError, type StoreErrorCode } from './artifact-store.js';

const CODES: Record<string, StoreErrorCode> = {
  ENOENT: 'store_unreachable',
  ESTALE: 'store_unreachable',
  ENODEV: 'store_unreachable',
  ENOTCONN: 'store_unreachable',
  ENOSPC: 'store_full',
  EDQUOT: 'store_full',
  EROFS: 'store_denied',
  EACCES: 'store_denied',
  EPERM: 'store_denied',
  ENOTDIR: 'store_bad_name',
  EISDIR: 'store_bad_name',
};

const HINTS: Record<string, string> = {
  EPERM: 'also said by a file system without hard links, which a store needs',
  ENOTDIR: 'an object and a folder cannot have one name',
  EISDIR: 'an object and a folder cannot have one name',
};

/**
 * The store's error for a failed call of the file system; what is not of the file system stays as it is. A code that
 * is not listed (EIO, EMFILE, ...) may pass.
 *
 * @param where for the message: the store and the object
 */
export function explainFileSystem(error: unknown, where: string): unknown {
  if (!(error instanceof Error) || !('syscall' in error) || !('code' in error)) return error;
  const code = String(error.code);
  const text = [`${where}: ${error.message}`, HINTS[code]].filter(Boolean).join('; ');
  return CODES[code] ? new StoreError(CODES[code], text) : new StoreError('store_failed', text, true);
}
