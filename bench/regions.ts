import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePorts } from '../test/harness/free-ports.js';
import type { LoneMaster, MasterCalls } from './lone-master.js';

const MAIN = fileURLToPath(new URL('../apps/replica/src/main.js', import.meta.url));
const READY_WITHIN_MS = 120_000;
export const API_PATH = '/bench/v1/';

/** A replica as a process. */
export interface Region {
  gateway: string;
  admin: string;
  stateDir: string;
  pid: number;
  /** milliseconds from the start of the process until it was ready */
  readyMs: number;
}

/** Replicas of `prod` on this machine, each in a region of its own. */
export class Regions {
  readonly all: Region[] = [];
  readonly home = mkdtempSync(join(tmpdir(), 'helio-bench-regions-'));
  private readonly children: ChildProcess[] = [];

  constructor(
    private readonly master: LoneMaster,
    private readonly calls: MasterCalls,
  ) {}

  /** @param alone with the store only: it knows no master */
  async add(name: string, alone: boolean, workers = 1): Promise<Region> {
    const [gateway = 0, admin = 0] = await freePorts(2);
    const stateDir = join(this.home, name);
    mkdirSync(stateDir);
    const began = performance.now();
    const child = spawn(process.execPath, [MAIN], {
      env: {
        PATH: process.env['PATH'],
        HELIO_ENVIRONMENT: 'prod',
        HELIO_REGION: name,
        HELIO_STATE_DIR: stateDir,
        HELIO_WORKERS: `${workers}`,
        HELIO_BIND: '127.0.0.1',
        HELIO_LOG_LEVEL: 'error',
        GATEWAY_PORT: `${gateway}`,
        ADMIN_PORT: `${admin}`,
        ARTIFACT_STORE: this.master.storeUrl,
        ...(alone ? { HELIO_TRUSTED_KEYS: this.master.publicKey } : await this.joining(name)),
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    this.children.push(child);
    const region = { gateway: `http://127.0.0.1:${gateway}`, admin: `http://127.0.0.1:${admin}`, stateDir };
    await waitFor(`${region.admin}/readyz`, child);
    const added = { ...region, pid: child.pid ?? 0, readyMs: performance.now() - began };
    this.all.push(added);
    return added;
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        child.kill('SIGTERM');
        await once(child, 'exit');
      }),
    );
    rmSync(this.home, { recursive: true, force: true });
  }

  private async joining(region: string): Promise<Record<string, string>> {
    await this.calls.call('POST', '/v1/regions', { id: region, environment: 'prod' });
    const { body } = await this.calls.call('POST', '/v1/join-tokens', { region });
    return { HELIO_MASTER_URL: this.master.url, HELIO_JOIN_TOKEN: body.token };
  }
}

async function waitFor(url: string, child: ChildProcess): Promise<void> {
  const began = performance.now();
  for (;;) {
    const status = await fetch(url).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 200) return;
    if (child.exitCode !== null) throw new Error(`the replica ended with code ${child.exitCode}`);
    if (performance.now() - began > READY_WITHIN_MS) throw new Error(`${url} did not answer 200 in time`);
    await sleep(5);
  }
}

/** The environment `prod` with one API, behind which this process answers, and an application that may call it. */
export async function prepareProd(
  calls: MasterCalls,
  security: 'key' | 'key-or-jwt' = 'key',
): Promise<{ application: string; close: () => void }> {
  const upstream = createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  await calls.call('POST', '/v1/environments', { id: 'prod', position: 1 });
  await calls.call('POST', '/v1/plans', { id: 'free' });
  await calls.call('POST', '/v1/apis', { name: 'bench', version: 'v1' });
  const definition = {
    routes: [{ method: '*', path: '/*' }],
    upstream: { targets: [{ url }] },
    security,
    plans: ['free'],
  };
  const { body: release } = await calls.call('POST', '/v1/apis/bench:v1/releases', { definition });
  await calls.call('PUT', '/v1/placements/prod/bench:v1/*', { release: release.digest, reason: 'bench' });
  const { body } = await calls.call('POST', '/v1/applications', { name: 'bench' });
  await calls.call('POST', '/v1/subscriptions', { application: body.id, api: 'bench:v1', plan: 'free' });
  const close = (): void => {
    upstream.close();
    upstream.closeAllConnections();
  };
  return { application: body.id, close };
}
