import type { Nack, ReplicaStatus, ToMaster } from '#model';
import { until } from '#harness';
import { afterEach, describe, expect, it } from 'vitest';
import { StreamTeller } from './stream-teller.js';

const NACK: Nack = { table: 'release', key: 'ab', revision: 7, code: 'release_too_new', detail: 'unknown policy' };
let nacks: Nack[] = [];
let told: ToMaster[] = [];
const teller = new StreamTeller({
  send: (message) => void told.push(message),
  served: () => ({ revision: 7, lagMs: 1 }),
  status: () => ({ revision: 7, nacks }) as unknown as ReplicaStatus,
  numbers: () => undefined,
});
afterEach(() => teller.stop());

const acknowledged = async (): Promise<string[]> => {
  told = [];
  teller.acknowledge();
  await until(() => told.some(({ type }) => type === 'ack'), { what: 'the acknowledgement' });
  const types = told.map((message) =>
    message.type === 'status' ? `status with ${message.status.nacks.length} nacks` : message.type,
  );
  return types.slice(0, types.indexOf('ack') + 1);
};

describe('what a replica tells a master', () => {
  it('names what it cannot use before it acknowledges the revision that brought it', async () => {
    expect(await acknowledged()).toEqual(['status with 0 nacks', 'ack']);
    expect(await acknowledged()).toEqual(['ack']); // the status comes after it, with all that changed in 0.1 s
    nacks = [NACK];
    expect(await acknowledged()).toEqual(['status with 1 nacks', 'ack']);
    nacks = [];
    expect(await acknowledged()).toEqual(['status with 0 nacks', 'ack']);
  });
});
