import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Signer } from '#artifacts';

const NONCE = 12;
const TAG = 16;

/** Which signing key of the chain something is sealed under, in hexadecimal. */
export const sealerOf = ({ keyId }: Signer): string => keyId.toString('hex');

/**
 * AES-256-GCM under a secret that only a master with the chain's signing key can make: nonce, tag, and what was sealed. The
 * name is authenticated with it, so that no row can be put in the place of another.
 *
 * @param purpose what is sealed for one cannot be opened for another
 */
export function seal(bytes: Buffer, purpose: string, name: string, signer: Signer): Buffer {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv('aes-256-gcm', signer.secretFor(purpose), nonce).setAAD(Buffer.from(name));
  const sealed = Buffer.concat([cipher.update(bytes), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
}

/** @throws when it was sealed by another signing key, for another name or purpose, or is damaged */
export function open(sealed: Buffer, purpose: string, name: string, signer: Signer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', signer.secretFor(purpose), sealed.subarray(0, NONCE), {
    authTagLength: TAG,
  });
  decipher.setAAD(Buffer.from(name)).setAuthTag(sealed.subarray(NONCE, NONCE + TAG));
  return Buffer.concat([decipher.update(sealed.subarray(NONCE + TAG)), decipher.final()]);
}
