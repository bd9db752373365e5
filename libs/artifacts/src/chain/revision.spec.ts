import { describe, expect, it } from 'vitest';
import type { Op } from '#model';
import { decodeHeader, encodeSigned, MAX_HEADER_BYTES } from '../format/header.js';
import { expectNoDamageTaken, expectNothingArbitraryTaken, faultOf } from '../testing/refusals.js';
import { type ChainPosition, GENESIS_HASH, opsOf, positionAfter, sealRevision, verifyRevision } from './revision.js';
import { newSigningKeyPem, signerFromPem, TrustedKeys } from './signing.js';

const signer = signerFromPem(newSigningKeyPem());
const trusted = new TrustedKeys([signer.publicKey]);
const start: ChainPosition = { environment: 'prod', epoch: 3, revision: 0, hash: GENESIS_HASH };
const root = Buffer.alloc(32, 9);
const ops: Op[] = [{ table: 3, key: Buffer.from('gold'), value: Buffer.from('{}') }];

const verdict = (bytes: Buffer, position = start, keys = trusted): string =>
  faultOf(() => verifyRevision(bytes, position, keys));

describe('a signed revision', () => {
  it('is verified, and gives back its ops and the position after it', () => {
    const sealed = sealRevision(start, ops, root, 1_760_000_000_000, signer);
    const verified = verifyRevision(sealed.bytes, start, trusted);
    expect(opsOf(verified)).toEqual(ops);
    expect(verified.header.root).toEqual(root);
    expect(verified.header.issuedAt).toBe(1_760_000_000_000);
    expect(positionAfter(verified)).toEqual({ environment: 'prod', epoch: 3, revision: 1, hash: sealed.hash });
  });

  it('has the same bytes each time it is made', () => {
    expect(sealRevision(start, ops, root, 5, signer).bytes).toEqual(sealRevision(start, ops, root, 5, signer).bytes);
  });

  it('has a header of at most 256 bytes', () => {
    const long = sealRevision({ ...start, environment: 'e'.repeat(32) }, [], root, 5, signer);
    expect(decodeHeader(long.bytes).length).toBe(MAX_HEADER_BYTES);
    expect(MAX_HEADER_BYTES).toBeLessThanOrEqual(256);
  });

  it('R4 is refused with any byte changed, and with any byte missing or added', () => {
    expectNoDamageTaken(sealRevision(start, ops, root, 5, signer).bytes, (bytes) => verdict(bytes));
  });

  it('R4 is refused out of place: another environment, an older epoch, another number, another history, another signer', () => {
    const first = sealRevision(start, ops, root, 5, signer);
    const second = sealRevision(positionAfter(first), ops, root, 6, signer);
    expect(verdict(first.bytes, { ...start, environment: 'dev' })).toBe('wrong_environment');
    expect(verdict(first.bytes, { ...start, epoch: 4 })).toBe('older_epoch');
    expect(verdict(second.bytes, start)).toBe('wrong_revision');
    expect(verdict(first.bytes, positionAfter(first))).toBe('wrong_revision');
    expect(verdict(second.bytes, { ...positionAfter(first), hash: Buffer.alloc(32, 1) })).toBe('wrong_previous');
    expect(verdict(first.bytes, start, new TrustedKeys([signerFromPem(newSigningKeyPem()).publicKey]))).toBe(
      'untrusted_key',
    );
    expect(verdict(second.bytes, { ...positionAfter(first), epoch: 2 })).toBe('none'); // a newer epoch continues the chain
  });

  it('stops a reader that is too old for it, with that reason', () => {
    const sealed = sealRevision(start, ops, root, 5, signer);
    const signed = encodeSigned({ ...sealed.header, minReader: 2 });
    const body = sealed.bytes.subarray(decodeHeader(sealed.bytes).length);
    expect(verdict(Buffer.concat([signed, signer.sign(signed), body]))).toBe('reader_too_old');
  });

  it('R4 arbitrary bytes are refused with a reason, and nothing else is thrown', () => {
    expectNothingArbitraryTaken('HGR1', 3000, (bytes) => verdict(bytes));
  });
});

describe('signing keys', () => {
  it('refuses what is no Ed25519 key, without showing it', () => {
    expect(() => signerFromPem('hello')).toThrow(/is not a private key in PEM/);
    expect(() => new TrustedKeys(['c2hvcnQ='])).toThrow(/is not an Ed25519 public key/);
  });
});
