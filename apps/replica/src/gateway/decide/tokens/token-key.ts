import {
  constants,
  createPublicKey,
  type JsonWebKey,
  type KeyObject,
  verify,
  type VerifyKeyObjectInput,
} from 'node:crypto';
import { canonicalJson } from '#platform';
import type { PublicJwk } from '#model';

const HASH_BITS = { ES256: 256, ES384: 384, ES512: 512 };
/** of r and s together: a signature in DER has another length, and another value */
const SIGNATURE_BYTES = { ES256: 64, ES384: 96, ES512: 132 };
/** About what a verification takes, in microseconds. */
const EC_COST = { ES256: 100, ES384: 700, ES512: 1300 };
const ED_COST = 100;
const RSA_COST_OF_1024_BITS = 6;

/** A public key of an issuer, and how it is used. */
export interface TokenKey {
  alg: PublicJwk['alg'];
  kid: string | undefined;
  /** what makes it the same key as another one */
  text: string;
  /** microseconds */
  cost: number;
  verifies(input: Buffer, signature: Buffer): boolean;
}

/**
 * By `node:crypto` on the worker's own thread. Web Crypto, which libraries use, takes the way through libuv's threads: for ES256 that
 * is 207 us of CPU time instead of 81, 102 of them on this thread all the same; and those threads are the ones that
 * wait for name servers that do not answer.
 *
 * @throws Error for what is no key
 */
export function compileKey(jwk: PublicJwk): TokenKey {
  const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
  const { digest, options, bytes, cost } = useOf(jwk.alg, key);
  return {
    alg: jwk.alg,
    kid: jwk.kid,
    text: canonicalJson(jwk),
    cost,
    verifies: (input, signature) => signature.length === bytes && verify(digest, input, options, signature),
  };
}

interface KeyUse {
  digest: string | null;
  options: VerifyKeyObjectInput;
  /** of a signature */
  bytes: number;
  cost: number;
}

function useOf(alg: PublicJwk['alg'], key: KeyObject): KeyUse {
  if (alg === 'EdDSA') return { digest: null, options: { key }, bytes: 64, cost: ED_COST };
  if (alg === 'ES256' || alg === 'ES384' || alg === 'ES512') {
    const options = { key, dsaEncoding: 'ieee-p1363' } as const;
    return { digest: `sha${HASH_BITS[alg]}`, options, bytes: SIGNATURE_BYTES[alg], cost: EC_COST[alg] };
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  const options = { key, ...(alg.startsWith('PS') ? pss : { padding: constants.RSA_PKCS1_PADDING }) };
  const cost = RSA_COST_OF_1024_BITS * (bits / 1024) ** 2;
  return { digest: `sha${alg.slice(2)}`, options, bytes: Math.ceil(bits / 8), cost };
}
