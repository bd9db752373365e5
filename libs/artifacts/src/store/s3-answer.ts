import { StoreError, type StoreErrorCode } from './artifact-store.js';
import { BY_STATUS, textOf } from './http-fault.js';

/** What an S3 server answered instead of doing it. */
export class S3Answer extends Error {
  constructor(
    readonly status: number,
    /** S3's code, such as `NoSuchKey`; empty where the body was not S3's */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** The error that `body` tells of; never rejects. */
export async function readAnswer(status: number, body: AsyncIterable<Buffer>): Promise<S3Answer> {
  const text = await textOf(body);
  // Two elements are taken and no more: AWS repeats the access key and the signed request in others.
  return new S3Answer(status, element(text, 'Code'), element(text, 'Message'));
}

function element(xml: string, name: string): string {
  return new RegExp(`<${name}>([^<]{0,300})`).exec(xml)?.[1] ?? '';
}

/** S3's codes that say more than their status does. */
const BY_CODE: Record<string, StoreErrorCode> = {
  NoSuchBucket: 'store_unreachable',
  XMinioStorageFull: 'store_full',
  XMinioAdminBucketQuotaExceeded: 'store_full',
  QuotaExceeded: 'store_full',
  InvalidAccessKeyId: 'store_denied',
  /** versitygw's word for that, with status 404 */
  XAdminUserNotFound: 'store_denied',
  SignatureDoesNotMatch: 'store_denied',
  AuthorizationHeaderMalformed: 'store_denied',
  AuthorizationQueryParametersError: 'store_denied',
  RequestTimeout: 'store_timeout',
};

/** What the operator may not think of. */
const HINTS: Record<string, string> = {
  NoSuchBucket: 'make it, or correct ARTIFACT_STORE',
  AccessDenied: 'S3 says so of a missing object, too, to whoever may not list the bucket',
  RequestTimeTooSkewed: 'set the clock of this machine or of the server',
  AuthorizationHeaderMalformed: 'S3_REGION must be the region of the bucket',
  AuthorizationQueryParametersError: 'S3_REGION must be the region of the bucket',
};

/**
 * The store's error for whatever a call of `minio` or undici failed with.
 *
 * @param where for the message: the store, its endpoint and the object
 */
export function explainS3(error: unknown, where: string): unknown {
  if (error instanceof StoreError || !(error instanceof Error)) return error;
  if (!(error instanceof S3Answer)) {
    // No answer at all: refused, reset, no such host, a certificate that is not trusted.
    const code = 'code' in error && typeof error.code === 'string' ? `${error.code} ` : '';
    return new StoreError('store_unreachable', `${where}: ${code}${error.message}`.trimEnd());
  }
  const { status, code, message } = error;
  const hint = HINTS[code] ?? (code === '' ? 'the answer is not from an S3 server; see S3_ENDPOINT' : undefined);
  const text = [`${where}: ${status} ${code}`.trimEnd(), message, hint].filter(Boolean).join('; ');
  const known = BY_CODE[code] ?? BY_STATUS[status];
  return known ? new StoreError(known, text) : new StoreError('store_failed', text, status >= 500);
}
