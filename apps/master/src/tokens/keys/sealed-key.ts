import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { Signer } from '#artifacts';
import { open, seal } from '../../secrets/sealed.js';

const PURPOSE = 'private halves of token keys';

/** In PKCS#8, under the chain's signing key. */
export function sealKey(key: KeyObject, kid: string, signer: Signer): Buffer {
  return seal(key.export({ type: 'pkcs8', format: 'der' }), PURPOSE, kid, signer);
}

/** @throws when it was sealed by another signing key, for another kid, or is damaged */
export function openKey(sealed: Buffer, kid: string, signer: Signer): KeyObject {
  return createPrivateKey({ key: open(sealed, PURPOSE, kid, signer), format: 'der', type: 'pkcs8' });
}
