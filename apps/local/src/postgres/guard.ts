import { spawn } from 'node:child_process';

/**
 * Stops the server when this process has gone without doing so. On SIGKILL no handler of ours runs, but the pipe closes,
 * and the guard reads its end. It has a process group of its own, so that a Ctrl-C at the terminal does not take it.
 *
 * @returns what sends the guard home
 */
export function guardServer(pid: number): () => void {
  const guard = spawn('/bin/sh', ['-c', 'read -r line || kill -s INT "$1"', 'guard', `${pid}`], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.unref();
  guard.stdin.on('error', () => {}); // EPIPE: it was killed; the next start stops what is left behind, then
  return () => void guard.stdin.end('home\n');
}
