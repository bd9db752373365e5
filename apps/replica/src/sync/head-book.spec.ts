import { rmSync } from 'node:fs';
import { afterEach, expect, it, vi } from 'vitest';
import { ChainMaker } from '#artifacts/testing';
import { until } from '#harness';
import { createLog } from '#platform';
import { StateStore } from '../state/state-store.js';
import { temporaryDirectory } from '../testing/state-fixture.js';
import { keyOp } from '../testing/sample-ops.js';
import { ChainTrust } from './chain-trust.js';
import { HeadBook, type HeadMemory } from './head-book.js';

const directory = temporaryDirectory();
const state = StateStore.open(directory, 'prod');
afterEach(async () => {
  await state.close();
  rmSync(directory, { recursive: true });
});

it('heads that cannot be kept on a full disk are told of once, until one can', async () => {
  const log = createLog('test', 'silent');
  const warned = vi.spyOn(log, 'warn');
  const chain = new ChainMaker();
  const trusted = new ChainTrust({ configured: null, joined: [chain.signer.publicKey] }, state, log).keys;
  const heads = new HeadBook({ state, trusted, log, onHead: () => undefined });
  const memory: HeadMemory = { newest: null, freshUntil: 0, isOnePlace: true };
  const kept = vi.spyOn(state, 'saveHead');
  const learn = async (): Promise<void> => {
    chain.seal([keyOp(`${kept.mock.calls.length}`)]);
    expect(heads.judge(chain.head(), memory)).toMatchObject({ isNewest: true });
    await Promise.allSettled(kept.mock.results.map(({ value }) => value as Promise<void>));
  };
  const full = (): unknown => kept.mockRejectedValueOnce(new Error('No space left on device'));

  for (let i = 0; i < 3; i++) {
    full();
    await learn();
  }
  await until(() => warned.mock.calls.length > 0, { what: 'the log to say so' });
  await learn();
  expect(state.head?.revision).toBe(4);
  full();
  await learn();
  await until(() => warned.mock.calls.length > 1, { what: 'the log to say so again' });
  expect(warned.mock.calls.map(([, text]) => text)).toEqual(
    Array(2).fill('the newest head could not be kept on the disk'),
  );
});
