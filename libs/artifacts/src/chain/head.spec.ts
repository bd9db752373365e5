import { describe, expect, it } from 'vitest';
import { faultOf } from '../testing/refusals.js';
import { sealHead, verifyHead } from './head.js';
import { newSigningKeyPem, signerFromPem, TrustedKeys } from './signing.js';

const signer = signerFromPem(newSigningKeyPem());
const trusted = new TrustedKeys([signer.publicKey]);
const head = {
  environment: 'prod',
  epoch: 2,
  revision: 7,
  hash: 'ab'.repeat(32),
  root: 'cd'.repeat(32),
  snapshot: { revision: 5, bytes: 70_000 },
  issuedAt: 1000,
  expiresAt: 91_000,
};

const verdict = (bytes: Buffer, environment = 'prod'): string => faultOf(() => verifyHead(bytes, environment, trusted));

describe('head', () => {
  it('is verified and gives back what was signed', () => {
    expect(verifyHead(sealHead(head, signer), 'prod', trusted)).toMatchObject(head);
  });

  it('R4 is refused with any byte changed', () => {
    const bytes = sealHead(head, signer);
    for (let at = 0; at < bytes.length - 1; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(verdict(changed), `byte ${at}`).not.toBe('none');
    }
  });

  it('R4 is refused for another environment, from another signer, cut short, too large, or with a field more', () => {
    const bytes = sealHead(head, signer);
    expect(verdict(bytes, 'dev')).toBe('wrong_environment');
    expect(verdict(sealHead(head, signerFromPem(newSigningKeyPem())))).toBe('untrusted_key');
    expect(verdict(bytes.subarray(0, 100))).toBe('malformed');
    expect(verdict(Buffer.alloc(5000, 0x20))).toBe('too_large');
    expect(verdict(Buffer.from(bytes.toString().replace('{', '{"more":1,')))).toBe('malformed');
  });
});
