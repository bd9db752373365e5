import type { FieldFault } from '#platform';

/** Where sockets begin that a process is started with (sd_listen_fds(3)). */
const FIRST_FD = 3;

type Environment = Record<string, string | undefined>;

/** The descriptor of the gateway's port, if this process was started with it open, as systemd does by a socket unit. */
export function inheritedFd(env: Environment, pid: number): number | null {
  return sockets(env, pid) === null ? null : FIRST_FD;
}

/** Which of several would it be? */
export function inheritedFaults(env: Environment, pid: number): FieldFault[] {
  const count = sockets(env, pid);
  if (count === null || count === '1') return [];
  const problem = `is ${count}: the gateway's port is the one socket that a replica may be started with`;
  return [{ field: 'LISTEN_FDS', problem, expected: 'let the socket unit have one ListenStream' }];
}

/** Null: none, or they were meant for a process whose environment was passed on. */
function sockets({ LISTEN_PID, LISTEN_FDS }: Environment, pid: number): string | null {
  return LISTEN_PID === String(pid) ? (LISTEN_FDS ?? null) : null;
}
