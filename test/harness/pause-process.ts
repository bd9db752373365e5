import { readdir, readFile } from 'node:fs/promises';
import { until } from './until.js';

/**
 * Stops a process of this machine, as `SIGSTOP` does, and returns when all of its threads stand still: the signal is
 * only sent when `process.kill` returns, and a thread that runs on another core goes on until it meets it, long enough
 * to answer a request. Where there is no `/proc` the signal is all there is. `SIGCONT` lets it go on.
 *
 * @throws Error a process that is gone or does not stop
 */
export async function pauseProcess(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  if (process.platform !== 'linux') return;
  await until(async () => (await states(pid)).every((state) => state === 'T'), {
    what: `every thread of process ${pid} to stop`,
    every: 1,
  });
}

/** the state of each thread, one letter: `T` is stopped (proc_pid_stat(5)) */
async function states(pid: number): Promise<string[]> {
  const threads = await readdir(`/proc/${pid}/task`);
  return Promise.all(
    threads.map(async (thread) => {
      const stat = await readFile(`/proc/${pid}/task/${thread}/stat`, 'latin1');
      return stat.charAt(stat.lastIndexOf(')') + 2); // the name before it may hold spaces and brackets
    }),
  );
}
