import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { newSigningKeyPem, signerFromPem } from '#artifacts';
import { sealerOf } from '../../secrets/sealed.js';
import { openKey, sealKey } from './sealed-key.js';

const pem = newSigningKeyPem();
const signer = signerFromPem(pem);
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const sealed = sealKey(privateKey, 'kid-1', signer);

describe('a sealed key', () => {
  it('is opened by whoever has the same signing key', () => {
    const again = signerFromPem(pem);
    expect(openKey(sealed, 'kid-1', again).equals(privateKey)).toBe(true);
    expect(sealerOf(again)).toBe(sealerOf(signer));
  });

  it('is opened by no other, for no other kid, and not with any bit changed or missing', () => {
    const other = signerFromPem(newSigningKeyPem());
    expect(sealerOf(other)).not.toBe(sealerOf(signer));
    expect(() => openKey(sealed, 'kid-1', other)).toThrow();
    expect(() => openKey(sealed, 'kid-2', signer)).toThrow();
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at]! ^= 1;
      expect(() => openKey(changed, 'kid-1', signer), `byte ${at}`).toThrow();
      expect(() => openKey(sealed.subarray(0, at), 'kid-1', signer), `${at} bytes`).toThrow();
    }
  });

  it('shows nothing of the key, and never looks the same', () => {
    const { d = '' } = privateKey.export({ format: 'jwk' });
    expect(sealed.includes(Buffer.from(d, 'base64url'))).toBe(false);
    expect(sealKey(privateKey, 'kid-1', signer).equals(sealed)).toBe(false);
  });
});
