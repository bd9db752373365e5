import { describe, expect, it } from 'vitest';
import { type ArtifactReader, type ArtifactStore, StoreError, type StoreErrorCode } from './artifact-store.js';
import { patientReader, patientStore } from './patient.js';

/** Fails so many times, and then has everything. */
class Failing {
  calls = 0;

  constructor(
    private readonly times: number,
    private readonly code: StoreErrorCode,
  ) {}

  readonly size = (): Promise<number> => {
    this.calls += 1;
    return this.calls > this.times ? Promise.resolve(7) : Promise.reject(new StoreError(this.code, 'the test says so'));
  };
  readonly create = (): Promise<'created'> => this.size().then(() => 'created');
}

const reader = (failing: Failing): ArtifactReader => patientReader(failing as unknown as ArtifactReader);

describe('a source of which single calls fail', () => {
  it('is asked again, a few times', async () => {
    expect(await reader(new Failing(3, 'store_unreachable')).size('prod/head.json')).toBe(7);
    const gone = new Failing(9, 'store_unreachable');
    await expect(reader(gone).size('prod/head.json')).rejects.toMatchObject({ code: 'store_unreachable' });
    expect(gone.calls).toBe(4);
  });

  it.each(['store_denied', 'store_too_large', 'store_full'] as const)('is not asked again after %s', async (code) => {
    const failing = new Failing(1, code);
    await expect(reader(failing).size('prod/head.json')).rejects.toMatchObject({ code });
    expect(failing.calls).toBe(1);
  });

  it('is not asked again when nobody waits any more', async () => {
    const failing = new Failing(9, 'store_unreachable');
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(reader(failing).size('prod/head.json', signal)).rejects.toThrow('the test says so');
    expect(failing.calls).toBe(1);
  });

  it('is written to more patiently, for a writer has nowhere else to go', async () => {
    const store = patientStore(new Failing(5, 'store_unreachable') as unknown as ArtifactStore);
    expect(await store.create('prod/delta/000000000001', Buffer.alloc(0))).toBe('created');
  });
});
