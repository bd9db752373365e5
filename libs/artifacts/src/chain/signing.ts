import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  hkdfSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { KEY_ID_LENGTH } from '../format/header.js';

/** The DER prefix of an Ed25519 public key: SubjectPublicKeyInfo without its 32 bytes (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** What signs a chain. The private half stays in the master. */
export interface Signer {
  readonly keyId: Buffer;
  /** 32 raw bytes in base64: what a replica is given to trust */
  readonly publicKey: string;
  sign(bytes: Buffer): Buffer;
  /** A secret for another purpose, which only who has the private half can make again. 32 bytes */
  secretFor(purpose: string): Buffer;
}

/** @param pem an Ed25519 private key, PKCS#8 in PEM @throws TypeError for anything else, without showing it */
export function signerFromPem(pem: string): Signer {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new TypeError('is not a private key in PEM (PKCS#8); `openssl genpkey -algorithm ed25519` makes one');
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new TypeError(`is an ${key.asymmetricKeyType ?? 'unknown'} key; it has to be Ed25519`);
  const raw = rawPublicKey(createPublicKey(key));
  const seed = key.export({ type: 'pkcs8', format: 'der' });
  return {
    keyId: keyIdOf(raw),
    publicKey: raw.toString('base64'),
    sign: (bytes) => sign(null, bytes, key),
    secretFor: (purpose) => Buffer.from(hkdfSync('sha256', seed, 'heliograph', purpose, 32)),
  };
}

/** A new private key in PEM. */
export function newSigningKeyPem(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

function rawPublicKey(key: KeyObject): Buffer {
  return (key.export({ type: 'spki', format: 'der' }) as Buffer).subarray(SPKI_PREFIX.length);
}

/** @param raw the 32 bytes of a public key */
export function keyIdOf(raw: Buffer): Buffer {
  return hash('sha256', raw, 'buffer').subarray(0, KEY_ID_LENGTH);
}

/** The public keys that a replica believes, by key id in hexadecimal. */
export class TrustedKeys {
  private readonly byId = new Map<string, KeyObject>();

  /** @param publicKeys 32 raw bytes each, in base64 @throws TypeError that names the faulty one */
  constructor(publicKeys: readonly string[]) {
    for (const text of publicKeys) {
      const raw = Buffer.from(text, 'base64');
      if (raw.length !== 32) throw new TypeError(`"${text}" is not an Ed25519 public key: 32 bytes in base64`);
      const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' });
      this.byId.set(keyIdOf(raw).toString('hex'), key);
    }
  }

  has(keyId: Buffer): boolean {
    return this.byId.has(keyId.toString('hex'));
  }

  verify(keyId: Buffer, bytes: Buffer, signature: Buffer): boolean {
    const key = this.byId.get(keyId.toString('hex'));
    return key !== undefined && verify(null, bytes, key, signature);
  }
}
