import { hash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeBlob,
  decodeBody,
  encodeBlob,
  encodeBody,
  FormatError,
  LIMITS,
  newSigningKeyPem,
  opsOf,
  sealHead,
  sealSegmentBody,
  signerFromPem,
  TrustedKeys,
  verifyHead,
  verifyRevision,
  verifySegment,
  verifySnapshot,
} from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import type { Op } from '#model';
import { arbitrary, mutated } from './mutations.js';

/*
 * Everything that a replica reads from a store, a stream or a peer. FUZZ_RUNS makes the runs more; a failure prints the seed
 * that repeats it.
 */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 1500);
const signer = signerFromPem(newSigningKeyPem());
const trusted = new TrustedKeys([signer.publicKey]);

const maker = new ChainMaker('prod', 3, signer);
const op = (n: number, value: Buffer | null): Op => ({ table: 1 + (n % 8), key: Buffer.from(`key ${n}`), value });
const revisions = Array.from({ length: 64 }, (_, n) => {
  const position = maker.position;
  const ops = [op(n, Buffer.alloc(n * 7, n)), op(n + 1, Buffer.from('{}')), op(n + 500, null)];
  return { position, sealed: maker.seal(ops, 1_760_000_000_000 + n) };
});
const middle = revisions[31] as (typeof revisions)[number];
const snapshot = maker.sealSnapshot();

interface Decoder {
  valid: Buffer[];
  /** everything that is done to bytes until they are believed; rejects them with a FormatError */
  decode: (bytes: Buffer) => unknown;
  /** of bytes that were accepted */
  right: (bytes: Buffer, decoded: unknown) => boolean;
  /** how many bytes the header has that is verified before the rest; 0: the caller has verified all of it by its hash */
  header: number;
}

const exactly = (valid: Buffer[]): Pick<Decoder, 'valid' | 'right'> => ({
  valid,
  right: (bytes) => valid.some((one) => one.equals(bytes)),
});

const head = maker.head({ issuedAt: 1_760_000_000_000 });
const deltas = revisions.map(({ sealed }) => sealed.bytes);
const bodies = revisions.map(({ sealed }) => sealed.bytes.subarray(-sealed.header.bodyLength));
const blobs = [...snapshot.blobs.values()];

const DECODERS: Record<string, Decoder> = {
  'a revision': {
    ...exactly([middle.sealed.bytes]),
    valid: [middle.sealed.bytes, ...deltas.slice(29, 34)],
    decode: (bytes) => opsOf(verifyRevision(bytes, middle.position, trusted)),
    header: middle.sealed.bytes.length - middle.sealed.header.bodyLength,
  },
  'a head': {
    valid: [head],
    decode: (bytes) => verifyHead(bytes, 'prod', trusted),
    // JSON may have spaces and an order of its own; what is signed are the fields
    right: (_, decoded) => isDeepStrictEqual(decoded, verifyHead(head, 'prod', trusted)),
    header: head.length,
  },
  'a segment': {
    ...exactly([maker.segment(1, 0)]),
    decode: (bytes) => opsOf(verifySegment(bytes, 'prod', trusted)),
    header: 7 + 4 + 117 + 8 + 64,
  },
  'a snapshot': {
    ...exactly([snapshot.manifest]),
    decode: (bytes) => verifySnapshot(bytes, 'prod', trusted),
    header: 7 + 4 + 112 + 8 + 64,
  },
  'a body': {
    valid: bodies,
    decode: (bytes) => decodeBody(bytes),
    right: (bytes, ops) => encodeBody(ops as Op[]).equals(bytes),
    header: 0,
  },
  'a blob': {
    valid: blobs,
    decode: (bytes) => decodeBlob(bytes),
    right: (bytes, entries) => encodeBlob(entries as ReturnType<typeof decodeBlob>).equals(bytes),
    header: 0,
  },
};

/** @returns the fault's code; null: they were accepted, and rightly so */
function refusal({ decode, right }: Decoder, bytes: Buffer): string | null {
  let decoded: unknown;
  try {
    decoded = decode(bytes);
  } catch (error) {
    if (error instanceof FormatError) return error.code;
    throw error;
  }
  expect(right(bytes, decoded), `accepted: ${bytes.toString('hex').slice(0, 4000)}`).toBe(true);
  return null;
}

describe.each(Object.entries(DECODERS))('R4 %s', (_, decoder) => {
  it('is accepted as it was made', () => {
    for (const bytes of decoder.valid.slice(0, 1)) expect(refusal(decoder, bytes)).toBeNull();
  });

  it('is refused with a reason whatever happened to it on its way', () => {
    fc.assert(
      fc.property(mutated(decoder.valid), (bytes) => void refusal(decoder, bytes)),
      { numRuns: RUNS },
    );
  });

  it('is refused with a reason when it is none at all', () => {
    fc.assert(
      fc.property(arbitrary(decoder.valid), (bytes) => void refusal(decoder, bytes)),
      { numRuns: RUNS },
    );
  });

  it('takes no memory for what it says of itself', () => {
    const decode = (bytes: Buffer): void => void refusal(decoder, bytes);
    decode(decoder.valid[0] as Buffer); // whatever is made once
    fc.assert(
      fc.property(fc.oneof(mutated(decoder.valid), arbitrary(decoder.valid)), (bytes) => {
        expect(memoryFor(() => decode(bytes))).toBeLessThan(mostFor(bytes));
      }),
      { numRuns: RUNS },
    );
  });

  if (decoder.header === 0) return;
  it('is judged by its header alone where that is damaged', () => {
    const { header } = decoder;
    const [valid] = decoder.valid as [Buffer];
    const rest = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(mutated([valid.subarray(0, header)]), rest, rest, (damaged, a, b) => {
        if (damaged.length !== header || damaged.equals(valid.subarray(0, header))) return;
        const [one, other] = [a, b].map((bytes) => refusal(decoder, Buffer.concat([damaged, bytes])));
        expect(other).toBe(one);
      }),
      { numRuns: RUNS / 2 },
    );
  });
});

describe('R4 what is signed, and wrong all the same', () => {
  const body = fc.oneof(mutated(bodies), arbitrary(bodies));

  it('is refused with a reason: a revision and a segment whose body no master would have made', () => {
    fc.assert(
      fc.property(body, (bytes) => {
        const sealed = sealSegmentBody(
          { environment: 'prod', level: 1, index: 0, epoch: 1, hash: hash32, root: hash32, issuedAt: 1 },
          { bytes, sha256: hash('sha256', bytes, 'buffer') },
          signer,
        );
        const verified = verifySegment(sealed, 'prod', trusted);
        const decoder = { ...(DECODERS['a body'] as Decoder), decode: () => opsOf(verified) };
        refusal(decoder, bytes);
        expect(memoryFor(() => refusal(decoder, bytes))).toBeLessThan(mostFor(bytes));
      }),
      { numRuns: RUNS },
    );
  });

  it('is refused with a reason: a head of any other shape', () => {
    const fields = { environment: 'prod', epoch: 1, revision: 2, hash: '00'.repeat(32), root: '11'.repeat(32) };
    const written = (value: unknown): unknown => JSON.parse(JSON.stringify(value)); // there is no -0 in JSON
    const names = fc.constantFrom('environment', 'epoch', 'revision', 'hash', 'root', 'issuedAt', 'expiresAt', 'more');
    fc.assert(
      fc.property(names, fc.jsonValue(), (name, value) => {
        const odd = { ...fields, issuedAt: 1, expiresAt: 2, snapshot: null, [name]: value };
        const bytes = sealHead(odd, signer);
        const right = (_: Buffer, decoded: unknown): boolean =>
          isDeepStrictEqual(decoded, {
            format: 1,
            keyId: signer.keyId.toString('hex'),
            ...odd,
            [name]: written(value),
          });
        refusal({ ...(DECODERS['a head'] as Decoder), right }, bytes);
      }),
      { numRuns: RUNS },
    );
  });
});

it('the meter of these tests sees a reader that believes a length', () => {
  const bytes = Buffer.from('04000000', 'hex');
  expect(memoryFor(() => Buffer.allocUnsafe(bytes.readUInt32BE(0)))).toBeGreaterThan(mostFor(bytes));
  expect(LIMITS.bodyBytes).toBeGreaterThan(mostFor(bytes));
});

const hash32 = Buffer.alloc(32, 7);

/** Bytes that may be taken for an input: some times its own size, for views and messages of errors. */
function mostFor(bytes: Buffer): number {
  return 512 * 1024 + 64 * bytes.length;
}

/** Bytes that were taken for buffers while it ran. What is on the heap is made of ops, which have been read by then. */
function memoryFor(work: () => unknown): number {
  const before = process.memoryUsage().arrayBuffers;
  work();
  return process.memoryUsage().arrayBuffers - before;
}
