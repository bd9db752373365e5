import { createCipheriv, createDecipheriv, createPrivateKey, type KeyObject, randomBytes } from 'node:crypto';
import type { Signer } from '#artifacts';

const NONCE = 12;
const TAG = 16;
const PURPOSE = 'private halves of token keys';

/** Which signing key of the chain a private half is sealed under, in hexadecimal. */
export const sealerOf = ({ keyId }: Signer): string => keyId.toString('hex');

/**
 * AES-256-GCM under a secret that only a master with the chain's signing key can make: nonce, tag, and the key in PKCS#8.
 * The kid is authenticated with it, so that no row can be put in the place of another.
 */
export function sealKey(key: KeyObject, kid: string, signer: Signer): Buffer {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv('aes-256-gcm', signer.secretFor(PURPOSE), nonce).setAAD(Buffer.from(kid));
  const sealed = Buffer.concat([cipher.update(key.export({ type: 'pkcs8', format: 'der' })), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
}

/** @throws when it was sealed by another signing key, for another kid, or is damaged */
export function openKey(sealed: Buffer, kid: string, signer: Signer): KeyObject {
  const decipher = createDecipheriv('aes-256-gcm', signer.secretFor(PURPOSE), sealed.subarray(0, NONCE), {
    authTagLength: TAG,
  });
  decipher.setAAD(Buffer.from(kid)).setAuthTag(sealed.subarray(NONCE, NONCE + TAG));
  const key = Buffer.concat([decipher.update(sealed.subarray(NONCE + TAG)), decipher.final()]);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}
