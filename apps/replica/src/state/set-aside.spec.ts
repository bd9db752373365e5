import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { keyOp } from '../testing/sample-ops.js';
import { StateFixture } from '../testing/state-fixture.js';
import { StateStore } from './state-store.js';

it('a state that is none is put away, the last one of these is kept, and the replica begins empty', async () => {
  const f = new StateFixture();
  onTestFinished(() => f.end());
  await f.apply(keyOp('a'));
  await f.reopen();
  expect(f.store.position.revision).toBe(1);
  expect(f.store.setAside).toBeNull();
  const file = join(f.directory, 'state', 'data.mdb');
  const aside = join(f.directory, 'state.damaged');
  for (const bytes of [Buffer.alloc(40_960, 0x5a), Buffer.alloc(100), readFileSync(file).subarray(0, 4096)]) {
    await f.store.close();
    rmSync(join(f.directory, 'state', 'lock.mdb'));
    writeFileSync(file, bytes);
    f.store = StateStore.open(f.directory, 'prod');
    expect(f.store.setAside).toBe(aside);
    expect(f.store.position.revision).toBe(0);
    expect(readFileSync(join(aside, 'data.mdb'))).toEqual(bytes);
  }
  expect(existsSync(aside)).toBe(true);
});
