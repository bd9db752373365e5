import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, type S3Service, type StoreFault, startMinio, startVersityGw, until } from '#harness';
import { REPLICAS, StoreRig } from './store-rig.js';

describeWith('minio', 'a chain beside a faulty store (MinIO)', () => scenarios(startMinio));
describeWith('versitygw', 'a chain beside a faulty store (versitygw)', () => scenarios(startVersityGw));

const KEYS = 8;

interface Case {
  fault: StoreFault;
  /** what the master's /readyz says of its store after a while */
  standing?: RegExp;
  /** what the status of the replica that has only the store says after a while */
  replica?: RegExp;
  /** the replica that has only the store gets everything while the fault lasts */
  passes?: true;
}

/** names store, endpoint and object */
const AT = /^s3:\/\/faults-\w+\/chains at http:\/\/127\.0\.0\.1:\d+: prod\//;
const CASES: [string, Case][] = [
  ['is gone', { fault: { kind: 'gone' }, standing: /ECONNREFUSED/, replica: /^store_unreachable .*ECONNREFUSED/ }],
  ['is slow', { fault: { kind: 'slow', ms: 100 }, passes: true }],
  ['is full', { fault: { kind: 'full' }, standing: /507 XMinioStorageFull/ }],
  ['is read-only', { fault: { kind: 'read-only' }, standing: /403 AccessDenied/ }],
  ['is busy', { fault: { kind: 'busy', share: 1 }, standing: /503 SlowDown/, replica: /^store_unreachable .*503/ }],
  ['is busy half of the time', { fault: { kind: 'busy', share: 0.5 }, passes: true }],
  ['cuts half of its answers', { fault: { kind: 'cutting', share: 0.5 }, passes: true }],
  ['gives half of each object', { fault: { kind: 'truncating' }, replica: /^malformed .*JSON/ }],
  ['keeps no conditions', { fault: { kind: 'unconditional' }, passes: true }],
  ['does not answer', { fault: { kind: 'hanging' } }],
];

function scenarios(start: () => Promise<S3Service>): void {
  let service: S3Service;
  let rig: StoreRig;

  beforeAll(async () => {
    service = await start();
    rig = await StoreRig.start(service);
  });
  afterAll(async () => {
    await rig?.stop();
    await service?.stop();
  });

  const mended = async (revision: string): Promise<void> => {
    await rig.proxy.set(null);
    await Promise.all(REPLICAS.map((name) => rig.reached(name, revision)));
    await rig.stored();
    const well = async (): Promise<boolean> => {
      const [standing, ...all] = await Promise.all([rig.standing(), ...REPLICAS.map((name) => rig.status(name))]);
      return standing.state === 'ok' && standing.error === null && all.every(({ lastError }) => lastError === null);
    };
    await until(well, { within: 60_000, what: 'nobody to complain any more' });
  };

  it.each(CASES)('R8 goes on when it %s: writes are answered, and all have all of it afterwards', async (_, wrong) => {
    await rig.proxy.set(wrong.fault);
    const revision = await rig.write(KEYS);
    await rig.reached('connected', revision); // by the stream
    if (wrong.standing) {
      const { standing } = wrong;
      const said = async (): Promise<boolean> => {
        const { state, error } = await rig.standing();
        expect(state).toBe('failing');
        expect(error).toMatch(AT);
        expect(error).toMatch(standing);
        return true;
      };
      await until(said, { what: 'the master to say so' });
    }
    if (wrong.replica) {
      const complains = async (): Promise<{ code: string; detail: string }> => (await rig.status('secluded')).lastError;
      const { code, detail } = await until(complains, { what: 'the replica to say so' });
      expect(`${code} ${detail}`).toMatch(wrong.replica);
    }
    if (wrong.passes) await rig.reached('secluded', revision);
    if (wrong.fault.kind !== 'gone')
      await until(() => rig.proxy.hits >= 2, { what: 'the fault to have done something' });
    await mended(revision);
  });

  it('fills the store again when it was emptied, without being asked', async () => {
    expect(await rig.empty()).toBeGreaterThan(KEYS);
    const revision = await rig.write(1);
    await mended(revision);
  });

  it('R2 R3 has applied nothing but the chain, and never went back', async () => {
    const chain = await rig.chain();
    for (const name of REPLICAS) {
      const seen = rig.seen[name];
      await until(() => seen.at(-1)?.revision === chain.size, { what: 'it to be looked at once more' });
      expect(seen.length).toBeGreaterThan(CASES.length);
      for (const [index, { epoch, revision, hash, root }] of seen.entries()) {
        const before = seen[index - 1];
        if (before) expect(epoch).toBeGreaterThanOrEqual(before.epoch);
        if (before) expect(revision).toBeGreaterThanOrEqual(before.revision);
        if (revision > 0) expect({ hash, root }).toEqual(chain.get(revision));
      }
    }
  });
}
