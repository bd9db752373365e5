import { sleep } from '#platform';
import { commandLines } from './command-lines.js';

interface ClusterProcess {
  pid: number;
  /** the server itself; the others are its workers, which leave when it has gone */
  postmaster: boolean;
}

const POLL_MS = 20;

/**
 * Ends whatever still runs of a cluster: its server when the launcher was killed, its workers when the server was.
 * They are told by the cluster's name in their command lines, never by a number in a file that may be another
 * process's by now.
 *
 * @param name the server's `cluster_name`, unlike any other on this machine
 * @throws Error when they cannot be ended
 */
export async function stopLeftovers(name: string): Promise<void> {
  for (const { signal, withinMs } of [
    { signal: 'SIGINT', withinMs: 5_000 }, // disconnects its clients and writes what it has
    { signal: 'SIGQUIT', withinMs: 2_000 }, // leaves the rest to recovery at the next start
    { signal: 'SIGKILL', withinMs: 2_000 },
  ] as const) {
    for (const { pid, postmaster } of clusterProcesses(name)) {
      if (postmaster || signal === 'SIGKILL') send(pid, signal);
    }
    const deadline = Date.now() + withinMs;
    while (clusterProcesses(name).length > 0 && Date.now() < deadline) await sleep(POLL_MS);
    if (clusterProcesses(name).length === 0) return;
  }
  const pids = clusterProcesses(name).map(({ pid }) => pid);
  throw new Error(`PostgreSQL of an earlier start still runs and cannot be ended: pid ${pids.join(', ')}`);
}

/** The server has the name among its arguments, its workers bear it as their title. */
function clusterProcesses(name: string): ClusterProcess[] {
  return commandLines()
    .map(({ pid, line }) => ({
      pid,
      postmaster: line.includes('postgres -D ') && line.includes(` cluster_name=${name}`),
      worker: line.startsWith(`postgres: ${name}: `),
    }))
    .filter(({ postmaster, worker }) => postmaster || worker);
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
