import type { ReplicaConfig } from './config/replica-config.js';
import { StateDirectoryError } from './state/state-database.js';

/** One sentence for an operator whose replica did not start: what, why, and which setting. */
export function explainStart(error: unknown, { adminPort, stateDir }: Readonly<ReplicaConfig>): string {
  const { code, message, path, syscall } = error as NodeJS.ErrnoException;
  if (error instanceof StateDirectoryError) return `HELIO_STATE_DIR: ${message}`;
  if (syscall === 'listen') {
    if (code === 'EADDRINUSE') return `ADMIN_PORT: the port ${adminPort} is taken by another process; choose another`;
    if (code === 'EACCES') return `ADMIN_PORT: this user may not listen on port ${adminPort}; choose one above 1023`;
    if (code === 'EADDRNOTAVAIL') return `HELIO_ADMIN_BIND: this machine does not have the address: ${message}`;
  }
  if (path?.startsWith(stateDir)) return `HELIO_STATE_DIR: ${stateDir} cannot be used: ${message}`;
  return error instanceof Error ? error.message : String(error);
}
