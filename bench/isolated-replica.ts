import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../apps/replica/src/main.js', import.meta.url));
const GATEWAY_PORT = 18_700;
const WITHIN_MS = 30_000;

/**
 * Starts a replica on a copy of a region's state, with its store and master replaced by nothing.
 *
 * @returns milliseconds from the start of the process to the first 200
 */
export async function isolatedStart(home: string, demo: { url: string; key: string }): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'helio-isolated-'));
  const stateDir = join(directory, 'state');
  cpSync(join(home, 'regions', 'eu-west'), stateDir, { recursive: true });
  // the lock of the replica that this is a copy of
  for (const name of readdirSync(stateDir)) if (/lock/.test(name) && !/mdb/.test(name)) rmSync(join(stateDir, name));
  const url = `http://127.0.0.1:${GATEWAY_PORT}${new URL(demo.url).pathname}`;
  const began = performance.now();
  const child = spawn(process.execPath, [MAIN], {
    env: {
      PATH: process.env['PATH'],
      HELIO_ENVIRONMENT: 'prod',
      HELIO_REGION: 'eu-west',
      HELIO_STATE_DIR: stateDir,
      HELIO_WORKERS: '1',
      HELIO_BIND: '127.0.0.1',
      HELIO_LOG_LEVEL: 'error',
      GATEWAY_PORT: String(GATEWAY_PORT),
      ADMIN_PORT: String(GATEWAY_PORT + 1),
      ARTIFACT_STORE: `file://${join(directory, 'no-store')}`,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  try {
    for (;;) {
      const status = await fetch(url, { headers: { 'x-api-key': demo.key } }).then(
        (response) => response.status,
        () => 0,
      );
      if (status === 200) return performance.now() - began;
      if (child.exitCode !== null) throw new Error(`the replica ended with code ${child.exitCode}`);
      if (performance.now() - began > WITHIN_MS) throw new Error(`the replica did not serve in ${WITHIN_MS} ms`);
      await sleep(10);
    }
  } finally {
    child.kill('SIGTERM');
    await once(child, 'exit');
    rmSync(directory, { recursive: true, force: true });
  }
}
