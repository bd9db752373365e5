import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { portsFrom } from '../apps/local/src/ports.js';

/** What a measurement needs of `.heliograph/local.json`. */
export interface LocalSystem {
  master: string;
  adminToken: string;
  regions: { id: string; environment: string; gateway: string; admin: string; pid: number }[];
  masterPid: number;
  demo: { url: string; key: string };
}

const MAIN = fileURLToPath(new URL('../apps/local/src/main.js', import.meta.url));
const READY_WITHIN_MS = 60_000;

/** A home of its own for `npm start`, on ports of its own. */
export class Rig {
  readonly home = mkdtempSync(join(tmpdir(), 'helio-bench-'));
  private child: ChildProcess | undefined;

  constructor(private readonly portBase = 18_080) {}

  /**
   * Starts the whole system as `npm start` does, the build apart.
   *
   * @param args of `npm start`
   * @returns where it is, and how long it took in ms
   */
  async start(args: string[] = []): Promise<{ system: LocalSystem; tookMs: number }> {
    const summary = join(this.home, 'local.json');
    const began = performance.now();
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: { PATH: process.env['PATH'], HELIO_HOME: this.home, HELIO_PORT_BASE: String(this.portBase) },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.child = child;
    while (!existsSync(summary)) {
      if (child.exitCode !== null) throw new Error(`npm start ended with code ${child.exitCode}`);
      if (performance.now() - began > READY_WITHIN_MS)
        throw new Error(`npm start was not ready in ${READY_WITHIN_MS} ms`);
      await sleep(10);
    }
    const tookMs = performance.now() - began;
    return { system: JSON.parse(readFileSync(summary, 'utf8')) as LocalSystem, tookMs };
  }

  async stop(): Promise<void> {
    const { child } = this;
    if (child && child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
  }

  /** Of the PostgreSQL below the master, for reference measurements. */
  databaseUrl(): string {
    const password = readFileSync(join(this.home, 'postgres', 'password'), 'utf8').trim();
    return `postgres://helio:${encodeURIComponent(password)}@127.0.0.1:${portsFrom(this.portBase).postgres}/heliograph`;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.home, { recursive: true, force: true });
  }
}
