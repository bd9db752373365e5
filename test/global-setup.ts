import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startPostgres } from '../apps/local/src/postgres/index.js';
import { build } from './harness/app-process.js';
import { guard } from './harness/daemon.js';

/** Nothing here has to survive a crash of the machine; many test files are connected at the same time. */
const SETTINGS = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' };

/**
 * One PostgreSQL for the whole run; where it cannot be had only those tests fail that need it. And one temporary
 * directory, below which all others are made: nothing of a run stays behind, however it ends.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  // a source that the build makes: without a build nothing that imports it can be loaded
  if (!existsSync('apps/cli/src/api/operations.ts')) build();
  const dir = mkdtempSync(join(tmpdir(), 'heliograph-tests-'));
  chmodSync(dir, 0o711); // as root the server runs as another user
  process.env.TMPDIR = dir; // the processes that run test files inherit it
  // what a test has left running may still write
  const remove = () => rmSync(dir, { recursive: true, force: true, maxRetries: 10 });
  try {
    const server = await startPostgres({
      dir: join(dir, 'postgres'),
      port: 0,
      log: join(dir, 'postgres.log'),
      database: 'postgres',
      settings: SETTINGS,
    });
    const dismiss = guard(server.pid, dir);
    project.provide('postgres', { url: server.url });
    return async () => {
      await server.stop();
      dismiss();
      remove();
    };
  } catch (error) {
    project.provide('postgres', { missing: (error as Error).message });
    return () => Promise.resolve(remove());
  }
}
