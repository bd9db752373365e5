import { rmSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type ArtifactStore, deltaName, newSigningKeyPem, openStore, signerFromPem, TrustedKeys } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { keyOp } from '../../testing/sample-ops.js';
import { StateFixture, temporaryDirectory } from '../../testing/state-fixture.js';
import { ObjectFetcher } from './object-fetcher.js';
import { requireSameChain } from './same-chain.js';

let f: StateFixture;
let directory: string;
let store: ArtifactStore;
beforeEach(async () => {
  f = new StateFixture();
  directory = temporaryDirectory();
  store = openStore(pathToFileURL(directory).href, { create: true });
  await f.apply(keyOp('a'));
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
  await f.end();
});

const compare = (trusted = f.trusted): Promise<string | null> =>
  requireSameChain(new ObjectFetcher(store), f.store, trusted, new AbortController().signal);

it('says why the revision that is here could not be compared with the one of the source, and null where it was', async () => {
  expect(await compare()).toContain('is not kept there any more');
  await store.create(deltaName('prod', 1), f.store.delta(1) as Buffer);
  expect(await compare()).toBeNull();
  const later = new TrustedKeys([signerFromPem(newSigningKeyPem()).publicKey]);
  expect(await compare(later)).toContain('is not trusted here');
});

it('R10 refuses a source that has another revision in the place of the one that is here', async () => {
  const other = new ChainMaker('prod', 1, f.chain.signer).seal([keyOp('of another master')]);
  await store.create(deltaName('prod', 1), other.bytes);
  await expect(compare()).rejects.toMatchObject({ code: 'fork' });
});
