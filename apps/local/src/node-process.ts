import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { sleep } from '#platform';
import type { Running } from './supervised.js';

interface NodeProcessOptions {
  app: 'master' | 'replica';
  /** its whole environment */
  env: Record<string, string>;
  /** file that both its streams are added to: unlike a pipe it takes what a process writes after we have gone */
  log: string;
  /** answers 200 when the app can be used */
  readyUrl: string;
  signal: AbortSignal;
}

const READY_WITHIN_MS = 60_000;
const POLL_MS = 25;
/** The whole system is to be gone in three seconds, and PostgreSQL comes after this. */
const DRAIN_MS = 2_000;

/**
 * Starts one of the apps and waits until it can be used. It has a process group of its own, so that a Ctrl-C at the
 * terminal reaches us alone, and stops by itself when the channel to us closes.
 *
 * @throws Error when it ends before that, or the signal fires
 */
export async function startNodeProcess({ app, env, log, readyUrl, signal }: NodeProcessOptions): Promise<Running> {
  signal.throwIfAborted();
  const main = fileURLToPath(new URL(`../../${app}/src/main.js`, import.meta.url));
  const output = openSync(log, 'a');
  const child = spawn(process.execPath, [main], { env, detached: true, stdio: ['ignore', output, output, 'ipc'] });
  closeSync(output);
  const { pid } = child;
  if (pid === undefined) throw (await once(child, 'error'))[0] as Error; // no more processes for this user
  let ended = false;
  const exited = once(child, 'exit').then(([code, killedBy]) => {
    ended = true;
    killGroup(pid); // workers that have lost their primary
    return (killedBy as string | null) ?? `exit code ${code}`;
  });
  const running: Running = {
    pid,
    exited,
    stop: async () => {
      if (!ended) child.kill('SIGTERM');
      const drained = new AbortController();
      await Promise.race([exited, sleep(DRAIN_MS, drained.signal)]);
      drained.abort();
      killGroup(pid);
      await exited;
    },
    kill: async () => {
      killGroup(pid);
      await exited;
    },
  };
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!(await answersOk(readyUrl))) {
    if (ended) throw new Error(`ended before it was ready (${await exited})`);
    if (signal.aborted || Date.now() > deadline) {
      await running.stop();
      signal.throwIfAborted();
      throw new Error(`did not get ready in ${READY_WITHIN_MS / 1000} s: ${readyUrl}`);
    }
    await sleep(POLL_MS, signal);
  }
  return running;
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // the second is what macOS says of a group of which nobody lives
    if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

async function answersOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false; // does not listen yet
  }
}
