import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { newSigningKeyPem, signerFromPem } from '#artifacts';
import { newToken } from '#model';
import { Pool } from 'undici';
import { startPostgres } from '../apps/local/src/postgres/index.js';

const MAIN = fileURLToPath(new URL('../apps/master/src/main.js', import.meta.url));
const READY_WITHIN_MS = 60_000;

/** A master in its own process and PostgreSQL with its usual settings, without replicas: for what writes cost. */
export interface LoneMaster {
  url: string;
  adminToken: string;
  databaseUrl: string;
  /** `file:///...` */
  storeUrl: string;
  /** what replicas trust */
  publicKey: string;
  pid: number;
  postgresPid: number;
  stop(): Promise<void>;
}

export async function startLoneMaster(): Promise<LoneMaster> {
  const home = mkdtempSync(join(tmpdir(), 'helio-bench-'));
  const key = join(home, 'signing-key.pem');
  const pem = newSigningKeyPem();
  writeFileSync(key, pem, { mode: 0o600 });
  const storeUrl = `file://${join(home, 'store')}`;
  const log = join(home, 'postgres.log');
  const postgres = await startPostgres({ dir: join(home, 'postgres'), port: 0, log, database: 'heliograph' });
  const port = await freePort();
  const adminToken = newToken('bench');
  const child = spawn(process.execPath, [MAIN], {
    env: {
      PATH: process.env['PATH'],
      DATABASE_URL: postgres.url,
      ARTIFACT_STORE: storeUrl,
      HELIO_SIGNING_KEY: key,
      HELIO_BOOTSTRAP_ADMIN_TOKEN: adminToken,
      HELIO_BIND: '127.0.0.1',
      HELIO_LOG_LEVEL: 'warn',
      PORT: `${port}`,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    await postgres.stop();
    rmSync(home, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}`;
  const began = performance.now();
  const ready = (): Promise<boolean> =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  while (!(await ready())) {
    if (child.exitCode !== null || performance.now() - began > READY_WITHIN_MS) {
      await stop();
      throw new Error(`the master was not ready in ${READY_WITHIN_MS} ms, or has ended (${child.exitCode})`);
    }
    await sleep(20);
  }
  return {
    url,
    adminToken,
    databaseUrl: postgres.url,
    storeUrl,
    publicKey: signerFromPem(pem).publicKey,
    pid: child.pid ?? 0,
    postgresPid: postgres.pid,
    stop,
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}

export interface CallAnswer {
  headers: Record<string, string | string[] | undefined>;
  // bodies of several shapes
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any;
}

/** JSON over connections that stay open. @throws Error for any answer but a good one */
export class MasterCalls {
  private readonly pool: Pool;

  constructor(
    url: string,
    private readonly token: string,
    connections: number,
  ) {
    this.pool = new Pool(url, { connections });
  }

  async call(
    method: 'GET' | 'POST' | 'PUT',
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<CallAnswer> {
    const response = await this.pool.request({
      method,
      path,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.body.text();
    if (response.statusCode >= 300) throw new Error(`${method} ${path}: ${response.statusCode} ${text}`);
    return { headers: response.headers, body: text ? JSON.parse(text) : undefined };
  }

  close(): Promise<void> {
    return this.pool.close();
  }
}
