import { pino } from 'pino';
import { expect, it } from 'vitest';
import { ChainMaker } from '#artifacts/testing';
import { STREAM_LIMITS } from '#model';
import { EnvironmentHub } from './environment-hub.js';
import type { Standing, StreamChain } from './stream-chain.js';

it('R10 a hub whose database has another chain now, of the same length, speaks for that one', async () => {
  const hashes = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)] as const;
  const standing = (epoch: number, hash: Buffer): Standing => ({
    environment: 'prod',
    epoch,
    revision: 5,
    hash,
    root: hash,
    snapshot: null,
  });
  let row = standing(3, hashes[0]);
  const chain: Pick<StreamChain, 'standing' | 'hashOf' | 'after'> = {
    standing: () => Promise.resolve(row),
    hashOf: () => Promise.resolve(row.hash),
    after: () => Promise.resolve([]),
  };
  const told = (): void => undefined;
  const options = {
    query: () => Promise.resolve([]),
    signer: new ChainMaker().signer,
    refusal: () => null,
    fleet: { connected: told, disconnected: told, acknowledged: told, reported: told },
    limits: STREAM_LIMITS,
    log: pino({ level: 'silent' }),
    now: () => 1_000,
  };
  const hub = new EnvironmentHub('prod', chain as StreamChain, options, told);
  const asks = async (epoch: number): Promise<unknown> => {
    const { head } = await hub.intent({ type: 'follow', epoch, revision: 6, hash: 'aa'.repeat(32) });
    const { hash, epoch: said } = JSON.parse(head);
    return { hash, epoch: said };
  };
  expect(await asks(3)).toEqual({ hash: hashes[0].toString('hex'), epoch: 3 });
  row = standing(6, hashes[1]);
  expect(await asks(6)).toEqual({ hash: hashes[1].toString('hex'), epoch: 6 });
});
