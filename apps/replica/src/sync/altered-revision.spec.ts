import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FormatError, TrustedKeys, verifyHead, verifyRevision } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { keyOp, planOp, releaseOp, sampleDefinition } from '../testing/sample-ops.js';
import { StateFixture } from '../testing/state-fixture.js';

let f: StateFixture;
let bytes: Buffer;
beforeAll(async () => {
  f = new StateFixture();
  await f.apply(keyOp('a'));
  bytes = f.chain.seal([keyOp('a', true), planOp('gold'), releaseOp(sampleDefinition())]).bytes;
});
afterAll(() => f.end());

/** It is refused before it is parsed, with a code and a sentence, and the state stays as it was. */
async function expectRefused(altered: Buffer): Promise<void> {
  const before = { ...f.store.position };
  await expect(f.applyBytes(altered)).rejects.toBeInstanceOf(FormatError);
  expect(f.store.position).toEqual(before);
}

describe('a revision on its way', () => {
  it('R4 is refused with any one byte altered', async () => {
    for (let at = 0; at < bytes.length; at++) {
      const altered = Buffer.from(bytes);
      altered.writeUInt8(altered.readUInt8(at) ^ (1 << (at % 8)), at);
      await expectRefused(altered);
    }
  });

  it('R4 is refused when it is cut at any place, or bytes are added anywhere', async () => {
    for (let at = 0; at < bytes.length; at++) await expectRefused(bytes.subarray(0, at));
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length), fc.uint8Array({ minLength: 1, maxLength: 40 }), (at, added) =>
        expectRefused(Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at)])),
      ),
    );
  });

  it('R4 is refused when it is anything else', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), (noise) => expectRefused(Buffer.from(noise))));
    const begun = fc.uint8Array({ maxLength: 400 }).map((noise) => Buffer.concat([bytes.subarray(0, 20), noise]));
    await fc.assert(fc.asyncProperty(begun, expectRefused));
  });

  it('R4 a head is refused with any one byte altered', () => {
    const chain = new ChainMaker();
    const trusted = new TrustedKeys([chain.signer.publicKey]);
    const head = chain.head();
    for (let at = 0; at < head.length - 1; at++) {
      const altered = Buffer.from(head);
      altered.writeUInt8(altered.readUInt8(at) ^ 1, at);
      expect(() => verifyHead(altered, 'prod', trusted), `byte ${at}`).toThrow(FormatError);
    }
  });

  it('applied as it is, it is accepted, so that the refusals above were for their alterations', async () => {
    const { revision } = verifyRevision(bytes, f.store.chainPosition, f.trusted).header;
    await f.applyBytes(bytes);
    expect(f.store.position.revision).toBe(revision);
  });
});
