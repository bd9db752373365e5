import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { guard } from './daemon.js';
import { until } from './until.js';

export interface AppOptions {
  app: 'master' | 'replica' | 'local';
  args?: string[];
  /** the whole environment but for PATH: nothing of the test's own reaches the app */
  env: Record<string, string>;
  /** Truthy when the app can be used. Default: at once. */
  ready?: () => Promise<unknown>;
}

export interface AppProcess {
  pid: number;
  /** What it wrote so far, both streams. Printed when it ends, and the reporter shows that for a file that fails. */
  output: () => string;
  /** Resolves when it has gone: `exit code 0`, `SIGKILL`. */
  exited: Promise<string>;
  /** Sends a signal to the process itself and does not wait. */
  kill: (signal: NodeJS.Signals) => void;
  /** SIGTERM, after a minute SIGKILL; resolves with how it ended. */
  stop: () => Promise<string>;
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/dist\/$/, '/');
const READY_WITHIN_MS = 90_000;
const STOP_WITHIN_MS = 60_000;

/**
 * Starts an app as its own process from dist/, which is built first where the sources have changed. It ends with the
 * test process at the latest, however that one ends.
 *
 * @throws Error with its output when it ends before it is ready, or is not ready in 90 s
 */
export async function startApp({ app, args = [], env, ready }: AppOptions): Promise<AppProcess> {
  build();
  const dir = mkdtempSync(join(tmpdir(), `heliograph-${app}-`));
  const log = join(dir, 'output');
  const descriptor = openSync(log, 'w');
  const main = join(ROOT, 'dist', 'apps', app, 'src', 'main.js');
  const child = spawn(process.execPath, ['--enable-source-maps', main, ...args], {
    cwd: dir,
    env: { PATH: process.env.PATH, ...env },
    // apps stop by themselves when this channel closes; the guard is for those that cannot any more
    stdio: ['ignore', descriptor, descriptor, 'ipc'],
  });
  closeSync(descriptor);
  const exited = once(child, 'exit').then(([code, signal]) => (signal as string | null) ?? `exit code ${code}`);
  child.unref();
  child.channel?.unref();
  const pid = child.pid as number; // node itself can always be started
  const dismiss = guard(pid, dir);
  let last = '';
  const output = () => (last = readOr(log, last));
  void exited.then((how) => {
    console.log(`--- ${app} (pid ${pid}) ended: ${how}\n${output()}`);
    dismiss();
    rmSync(dir, { recursive: true, force: true });
  });
  const started: AppProcess = {
    pid,
    output,
    exited,
    kill: (signal) => void child.kill(signal),
    stop: () => stop(child, exited),
  };
  if (ready) await becomeReady(app, started, child, ready);
  return started;
}

async function becomeReady(
  app: string,
  started: AppProcess,
  child: ChildProcess,
  ready: () => Promise<unknown>,
): Promise<void> {
  try {
    const isUp = async () => !isRunning(child) || ready();
    await until(isUp, { within: READY_WITHIN_MS, what: `the ${app} to be ready` });
  } catch (error) {
    child.kill('SIGKILL');
    throw new Error(`${(error as Error).message}\n${started.output()}`, { cause: error });
  }
  if (!isRunning(child))
    throw new Error(`the ${app} ended (${await started.exited}) before it was ready:\n${started.output()}`);
}

async function stop(child: ChildProcess, exited: Promise<string>): Promise<string> {
  if (isRunning(child)) child.kill('SIGTERM');
  const insist = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
  const how = await exited;
  clearTimeout(insist);
  return how;
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise; // removed when the process ended
  }
}

let built = false;

/** Once in a test process; takes no time where dist/ is made of these very sources. */
export function build(): void {
  if (built) return;
  const { status, stderr } = spawnSync(process.execPath, [join(ROOT, 'scripts', 'build.mjs')], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the build failed:\n${stderr}`);
  built = true;
}
