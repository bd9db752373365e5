import { build } from '#harness';
import type { WorkerPool } from '../gateway/worker-pool.js';

/** Where that is. */
export const COMPILED_POOL = new URL('../../../../dist/apps/replica/src/gateway/worker-pool.js', import.meta.url).href;

/** The pool as it is built: workers are processes of compiled files, and it starts those that lie beside it. */
export async function compiledPool(): Promise<typeof WorkerPool> {
  build();
  process.execArgv = []; // workers inherit it, and Vitest's leads imports to the sources
  const { WorkerPool: Pool } = (await import(COMPILED_POOL)) as { WorkerPool: typeof WorkerPool };
  return Pool;
}
