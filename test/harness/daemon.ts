import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-ports.js';

/** A server process with a port and a directory of its own. */
export interface Daemon {
  port: number;
  pid: number;
  /** its own, where it keeps its data */
  dir: string;
  /** Ends the process (SIGTERM, after half a minute SIGKILL) and removes its directory. */
  stop: () => Promise<void>;
  /** SIGKILL; the directory stays until `stop` or the end of the test process. */
  kill: () => Promise<void>;
}

export interface DaemonOptions {
  binary: string;
  /** Arguments and additional environment for a loopback port and an empty directory. */
  command: (port: number, dir: string) => { args: string[]; env: NodeJS.ProcessEnv };
  /** Rejects until the server on `port` is up, and when it is not the one that was started. */
  answers: (port: number) => Promise<void>;
  /** Default: a free one. */
  port?: number;
}

const START_DEADLINE_MS = 90_000;
const STOP_DEADLINE_MS = 30_000;
/** Somebody may listen on the free port before the server does, who knows nothing of these tests. */
const ATTEMPTS = 3;

export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const failures: string[] = [];
  while (failures.length < ATTEMPTS) {
    const started = await attempt(options);
    if (typeof started !== 'string') return started;
    failures.push(started);
  }
  throw new Error(`${options.binary} did not start, ${ATTEMPTS} times:\n${failures.join('\n')}`);
}

/** The daemon, or what it wrote when the process ended before it answered. */
async function attempt({ binary, command, answers, port: wanted }: DaemonOptions): Promise<Daemon | string> {
  const port = wanted ?? (await freePort());
  const dir = mkdtempSync(join(tmpdir(), `heliograph-${basename(binary)}-`));
  const data = join(dir, 'data');
  mkdirSync(data);
  const { args, env } = command(port, data);
  const log = join(dir, 'output');
  const descriptor = openSync(log, 'w');
  const child = spawn(binary, args, { env: { ...process.env, ...env }, stdio: ['ignore', descriptor, descriptor] });
  closeSync(descriptor);
  const ended = once(child, 'exit');
  if (child.pid === undefined) {
    rmSync(dir, { recursive: true, force: true });
    return ended.then(() => 'it has no process', String);
  }
  // Vitest's worker must be able to end when its parent was interrupted: then the guard does the rest.
  child.unref();
  const dismiss = guard(child.pid, dir);
  const remove = () => {
    dismiss();
    rmSync(dir, { recursive: true, force: true });
  };

  const deadline = Date.now() + START_DEADLINE_MS;
  let why: unknown = 'it was not asked yet';
  while (running(child) && Date.now() < deadline) {
    try {
      await answers(port);
      return {
        port,
        pid: child.pid,
        dir: data,
        kill: () => end(child, 'SIGKILL', ended),
        stop: () => end(child, 'SIGTERM', ended).then(remove),
      };
    } catch (error) {
      why = error;
      await sleep(25);
    }
  }
  const late = running(child);
  await end(child, 'SIGKILL', ended);
  const output = readFileSync(log, 'utf8').slice(-4_000);
  remove();
  if (late) throw new Error(`${binary} did not answer in ${START_DEADLINE_MS} ms: ${String(why)}\n${output}`);
  return output;
}

async function end(child: ChildProcess, signal: NodeJS.Signals, ended: Promise<unknown>): Promise<void> {
  if (!running(child)) return;
  child.kill(signal);
  const insist = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
  await ended;
  clearTimeout(insist);
}

function running(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/**
 * Kills the server and removes its directory when this process is gone, however it went: exit handlers do not run
 * on SIGKILL, but the pipe closes. Returns how to send the guard home. It has a session of its own, so that a
 * Ctrl-C at the terminal does not take it along.
 */
export function guard(pid: number, dir: string): () => void {
  const script = 'read -r line || { kill -9 "$1" 2>/dev/null; rm -rf "$2"; }';
  const child = spawn('sh', ['-c', script, 'guard', `${pid}`, dir], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.unref();
  child.stdin.on('error', () => {}); // EPIPE: somebody killed the guard; there is nobody left to send home
  return () => {
    if (child.stdin.writable) child.stdin.end('home\n');
  };
}
