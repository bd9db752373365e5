import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startMaster } from './master.js';
import { freshDatabase } from './postgres.js';

it('startMaster runs the real master, which can be killed and started again on its data', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'heliograph-store-'));
  const database = await freshDatabase();
  const master = await startMaster({ database: database.url, store: `file://${dir}` });
  await master.client.post('/v1/plans', { id: 'gold' }, { status: 201 });
  master.kill('SIGKILL');
  await expect(master.exited).resolves.toBe('SIGKILL');

  const next = await master.again();
  expect(next.url).toBe(master.url);
  expect((await next.client.get('/v1/plans/gold')).body).toMatchObject({ id: 'gold' });
  await expect(next.client.get('/v1/plans/none')).rejects.toMatchObject({ problem: { code: 'not_found' } });
  await expect(next.stop()).resolves.toBe('exit code 0');
  expect(next.output()).toContain('the master is ready');
  await database.drop();
  rmSync(dir, { recursive: true });
});

it('startMaster says what the master wrote when it does not start', async () => {
  const failing = startMaster({ database: 'mysql://x', store: 'file:///nowhere' });
  await expect(failing).rejects.toThrow(
    /the master ended \(exit code 2\) before it was ready:\n.*DATABASE_URL: must be/s,
  );
  await expect(
    startMaster({ database: 'postgres://127.0.0.1:1/none', store: 'file:///etc/passwd/store' }),
  ).rejects.toThrow('ARTIFACT_STORE: /etc/passwd is not a directory; name a directory that it may use');
});
