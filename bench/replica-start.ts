/**
 * A replica's start from its own disk with nobody else reachable, and its memory. The state is made first, in a directory of
 * its own: about a minute for a million keys. Each round starts the replica, then what a process of Node costs at the least
 * (and nginx, where there is one), so that a slow machine is slow for all of them.
 *
 *   npm run build && node dist/bench/replica-start.js [keys, 1000000] [rounds, 7] [workers, 2]
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePorts } from '#harness';
import { cpuTime } from './cpu-time.js';
import { machineLine, spread } from './machine.js';
import { memoryTable } from './memory.js';
import { keyOf, makeState } from './million-keys.js';

const [keys = 1_000_000, rounds = 7, workers = 2] = process.argv.slice(2).map(Number);
const MAIN = fileURLToPath(new URL('../apps/replica/src/main.js', import.meta.url));
const BARE = "require('node:http').createServer((_, response) => response.end()).listen(process.env.PORT)";
const WITHIN_MS = 60_000;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

interface Start {
  /** milliseconds from the start of the process until both the gateway and /readyz have answered 200 */
  ready: number;
  gateway: number;
  /** milliseconds of CPU of all its processes until then */
  cpu: number | null;
}

function status(port: number, path: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve) => {
    // a connection for each: the time of a process that listens from one moment to the next is wanted
    const request = get({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    });
    request.on('error', () => resolve(0));
  });
}

/** @returns milliseconds since `began` */
async function answered(began: number, port: number, path = '/', headers: Record<string, string> = {}) {
  while ((await status(port, path, headers)) !== 200) {
    if (performance.now() - began > WITHIN_MS) throw new Error(`${path} did not answer 200 in ${WITHIN_MS} ms`);
    await sleep(2);
  }
  return performance.now() - began;
}

async function ended(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM');
  await once(child, 'exit');
}

async function startOnce(env: Record<string, string>, look?: (pid: number, port: number) => Promise<void>) {
  const [gateway = 0, admin = 0] = await freePorts(2);
  const ports = { GATEWAY_PORT: `${gateway}`, ADMIN_PORT: `${admin}` };
  const began = performance.now();
  const child = spawn(process.execPath, [MAIN], { env: { ...env, ...ports }, stdio: ['ignore', 'inherit', 'inherit'] });
  const [served, readyz] = await Promise.all([
    answered(began, gateway, '/weather/v1/today', { 'x-api-key': keyOf(keys - 1) }),
    answered(began, admin, '/readyz'),
  ]);
  const start: Start = { ready: Math.max(served, readyz), gateway: served, cpu: cpuTime(child.pid ?? 0) };
  await look?.(child.pid ?? 0, gateway);
  await ended(child);
  return start;
}

async function bareNode(): Promise<number> {
  const [port = 0] = await freePorts(1);
  const began = performance.now();
  const child = spawn(process.execPath, ['-e', BARE], { env: { PORT: `${port}` }, stdio: 'inherit' });
  const took = await answered(began, port);
  await ended(child);
  return took;
}

async function nginx(directory: string): Promise<number> {
  const [port = 0] = await freePorts(1);
  mkdirSync(directory, { recursive: true });
  const server = `server { listen 127.0.0.1:${port}; location / { return 200; } }`;
  const main = `daemon off; worker_processes ${workers}; pid ${directory}/pid; error_log stderr crit; events {}`;
  writeFileSync(join(directory, 'conf'), `${main} http { access_log off; ${server} }`);
  const began = performance.now();
  const child = spawn('nginx', ['-c', join(directory, 'conf'), '-p', directory], { stdio: 'inherit' });
  const took = await answered(began, port);
  await ended(child);
  return took;
}

/** After requests with a thousand keys from all over the table, so that what a request needs is there. */
async function lookAtMemory(pid: number, port: number): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    const key = keyOf(Math.floor((i * keys) / 1000));
    await status(port, '/weather/v1/today', { 'x-api-key': key });
  }
  say(memoryTable(pid));
}

const directory = mkdtempSync(join(tmpdir(), 'helio-bench-start-'));
const upstream = createServer((_, response) => response.end()).listen(0, '127.0.0.1');
try {
  say(machineLine());
  await once(upstream, 'listening');
  const stateDir = join(directory, 'state');
  mkdirSync(stateDir);
  const trusted = await makeState(stateDir, keys, `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`);
  const env = {
    PATH: process.env['PATH'] ?? '',
    HELIO_ENVIRONMENT: 'prod',
    HELIO_REGION: 'eu-west',
    HELIO_STATE_DIR: stateDir,
    HELIO_WORKERS: `${workers}`,
    HELIO_BIND: '127.0.0.1',
    HELIO_LOG_LEVEL: 'error',
    ARTIFACT_STORE: `file://${join(directory, 'no-store')}`,
    HELIO_TRUSTED_KEYS: trusted,
  };
  const hasNginx = spawnSync('nginx', ['-v']).status === 0;
  const starts: Start[] = [];
  const [bare, proxy]: [number[], number[]] = [[], []];
  await startOnce(env); // the file is in the page cache from here on
  for (let i = 0; i < rounds; i++) {
    starts.push(await startOnce(env, i === rounds - 1 ? lookAtMemory : undefined));
    bare.push(await bareNode());
    if (hasNginx) proxy.push(await nginx(join(directory, 'nginx')));
  }
  say(`${keys.toLocaleString('en')} keys, ${workers} workers, from the start of the process:`);
  say(
    `  the gateway's first 200 and /readyz 200: ${spread(
      starts.map(({ ready }) => ready),
      'ms',
    )}`,
  );
  say(
    `  the gateway's first 200: ${spread(
      starts.map(({ gateway }) => gateway),
      'ms',
    )}`,
  );
  say(
    `  CPU of all its processes until then: ${spread(
      starts.map(({ cpu }) => cpu ?? Number.NaN),
      'ms',
    )}`,
  );
  say(`  beside it, node:http with nothing else: ${spread(bare, 'ms')}`);
  if (hasNginx) say(`  beside it, nginx with ${workers} workers: ${spread(proxy, 'ms')}`);
} finally {
  upstream.close();
  rmSync(directory, { recursive: true, force: true });
}
