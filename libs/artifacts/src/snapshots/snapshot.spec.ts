import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { newSigningKeyPem, signerFromPem, TrustedKeys } from '../chain/signing.js';
import { BUCKETS, StateRoot } from '../chain/state-root.js';
import { encodeBody } from '../format/body.js';
import { LIMITS } from '../format/limits.js';
import { ChainMaker } from '../testing/chain-maker.js';
import { expectNoDamageTaken, expectNothingArbitraryTaken, faultOf } from '../testing/refusals.js';
import { blobName } from '../store/names.js';
import { decodeBlob, type Entry, encodeBlob } from './blob.js';
import { type SnapshotBucket, type SnapshotPlace, sealSnapshot, snapshotBytes, verifySnapshot } from './snapshot.js';

const signer = signerFromPem(newSigningKeyPem());
const trusted = new TrustedKeys([signer.publicKey]);

const verdict = (bytes: Buffer, environment = 'prod', keys = trusted): string =>
  faultOf(() => verifySnapshot(bytes, environment, keys));

function made(): ChainMaker {
  const maker = new ChainMaker('prod', 2, signer);
  const keys = Array.from({ length: 300 }, (_, i) => ({ table: 5, key: Buffer.from(`key ${i}`), value: Buffer.of(i) }));
  maker.seal(keys, 7);
  maker.seal([{ table: 5, key: Buffer.from('key 3'), value: null }], 8);
  return maker;
}

describe('a snapshot', () => {
  it('gives the whole state: every blob that its manifest names, with its sums and its root', () => {
    const maker = made();
    const { manifest, blobs } = maker.sealSnapshot();
    const { header, buckets } = verifySnapshot(manifest, 'prod', trusted);
    expect(header).toMatchObject({
      environment: 'prod',
      epoch: 2,
      revision: 2,
      hash: maker.position.hash,
      issuedAt: 8,
    });
    const root = StateRoot.empty();
    let entries = 0;
    for (const [bucket, { sum, sha256, bytes }] of buckets.entries()) {
      if (bytes === 0) continue;
      const blob = blobs.get(blobName('prod', sha256.toString('hex'))) ?? Buffer.alloc(0);
      expect([blob.length, hash('sha256', blob, 'buffer')]).toEqual([bytes, sha256]);
      for (const { table, key, value } of decodeBlob(blob)) {
        expect(root.change(table, key, null, value)).toBe(bucket);
        entries += 1;
      }
      expect(root.sum(bucket)).toEqual(sum);
    }
    expect([entries, root.root()]).toEqual([299, header.root]);
    expect(snapshotBytes(manifest.length, buckets)).toBe(
      manifest.length + [...blobs.values()].reduce((sum, { length }) => sum + length, 0),
    );
    expect(manifest.length).toBeLessThanOrEqual(LIMITS.manifestBytes);
  });

  it('has the same bytes each time it is made, and shares the blobs that did not change', () => {
    const maker = made();
    const first = maker.sealSnapshot();
    expect(maker.sealSnapshot()).toEqual(first);
    maker.seal([{ table: 5, key: Buffer.from('key 4'), value: null }], 9);
    const second = maker.sealSnapshot();
    expect([...second.blobs.keys()].filter((name) => !first.blobs.has(name)).length).toBeLessThanOrEqual(1);
    expect(second.manifest).not.toEqual(first.manifest);
  });

  it('R4 is refused with a byte changed anywhere, and with any byte missing or added', () => {
    const { manifest } = made().sealSnapshot();
    // every byte of header and signature, and each field of some rows of the table, which has one hash for all
    expectNoDamageTaken(
      manifest,
      (bytes) => verdict(bytes),
      (at) => at < 600 || at % 37 === 0,
    );
    expect(verdict(manifest.subarray(0, -1))).toBe('truncated');
  });

  it('R4 is refused of another environment, from another signer, and with sums that are not the root', () => {
    const maker = made();
    const { manifest } = maker.sealSnapshot();
    expect(verdict(manifest, 'dev')).toBe('wrong_environment');
    expect(verdict(manifest, 'prod', new TrustedKeys([signerFromPem(newSigningKeyPem()).publicKey]))).toBe(
      'untrusted_key',
    );
    const { header, buckets } = verifySnapshot(manifest, 'prod', trusted);
    const place: SnapshotPlace = header;
    const sealed = (change: (bucket: SnapshotBucket) => SnapshotBucket): Buffer =>
      sealSnapshot(place, buckets.map(change), signer);
    expect(verdict(sealed((bucket) => bucket))).toBe('none');
    expect(verdict(sealed((bucket) => (bucket.bytes > 0 ? { ...bucket, sum: Buffer.alloc(32, 9) } : bucket)))).toBe(
      'wrong_root',
    );
    expect(verdict(sealed((bucket) => ({ ...bucket, bytes: 0 })))).toBe('malformed');
    expect(verdict(sealed((bucket) => ({ ...bucket, bytes: LIMITS.blobBytes + 1 })))).toBe('too_large');
    expect(() => sealSnapshot(place, buckets.slice(1), signer)).toThrow(`${BUCKETS - 1} buckets`);
  });

  it('R4 arbitrary bytes are refused with a reason, and nothing else is thrown', () => {
    expectNothingArbitraryTaken('HGM1', 2000, (bytes) => {
      expect(faultOf(() => decodeBlob(bytes))).toMatch(/none|malformed|truncated|too_large/);
      return verdict(bytes);
    });
  });
});

describe('a blob', () => {
  it('is one encoding of its entries, and refuses a deletion', () => {
    const entries: Entry[] = ['b', 'a'].map((key) => ({ table: 5, key: Buffer.from(key), value: Buffer.from('x') }));
    expect(encodeBlob(entries)).toEqual(encodeBlob([...entries].reverse()));
    expect(decodeBlob(encodeBlob(entries))).toEqual([...entries].reverse());
    const tombstone = encodeBody([{ table: 5, key: Buffer.from('a'), value: null }]);
    expect(faultOf(() => decodeBlob(tombstone))).toBe('malformed');
  });
});
