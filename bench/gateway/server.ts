import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from './ask.js';

/** A gateway, or an upstream, in processes of its own. */
export interface Server {
  name: string;
  port: number;
  pid: number;
  /** requests that its histogram has seen; absent: it keeps none */
  observed?: () => Promise<number>;
  stop(): Promise<void>;
}

export interface ServerPlan {
  name: string;
  command: string;
  args: readonly string[];
  env?: Record<string, string>;
  /** for taskset: `0`, or `0,1` */
  cores: string;
  port: number;
  /** what answers, with whatever status, when it serves; default: `/` on its port */
  ready?: () => Promise<boolean>;
}

/** With a million keys to read first. */
const READY_WITHIN_MS = 120_000;
const GONE_WITHIN_MS = 10_000;

/** Starts it on its cores, and waits until it answers. @throws Error when it ends first, or takes too long */
export async function startServer(plan: ServerPlan): Promise<Server> {
  const { name, command, args, cores, env, port } = plan;
  const child = spawn('taskset', ['-c', cores, command, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const server: Server = { name, port, pid: child.pid ?? 0, stop: () => stopped(child) };
  const ready = plan.ready ?? (() => ask(port, '/').then(Boolean, () => false));
  const began = performance.now();
  while (!(await ready())) {
    if (child.exitCode !== null) throw new Error(`${name} ended with code ${child.exitCode} before it served`);
    if (performance.now() - began > READY_WITHIN_MS) {
      await server.stop();
      throw new Error(`${name} did not serve within ${READY_WITHIN_MS} ms`);
    }
    await sleep(20);
  }
  return server;
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  const kill = setTimeout(() => child.kill('SIGKILL'), GONE_WITHIN_MS);
  await exit;
  clearTimeout(kill);
}

/** Whether a program can be started at all. */
export function installed(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).error === undefined;
}
