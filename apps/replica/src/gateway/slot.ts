import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { GatewayPorts } from './gateway-port.js';
import { PORT_FD, TLS_PORT_FD, type ToWorker } from './ipc.js';

/** A gateway worker as process 1 sees it. */
export interface Slot {
  name: string;
  process: ChildProcess;
  startedAt: number;
  /** its modules are loaded, and it hears us */
  booted: boolean;
  /** it was told to serve */
  serves: boolean;
  listening: boolean;
  /** others take its place; nobody follows when it ends */
  retired: boolean;
  /** what it may answer a request by; null: it does not answer yet, or not any more */
  revision: number | null;
  /** which of the announcements it was told, and whether its answer is due */
  told: number;
  isLoading: boolean;
}

const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));

/** Starts a worker's process, which can take connections from the ports. */
export function newSlot(name: string, { plain, tls }: GatewayPorts): Slot {
  const stdio: (string | number)[] = ['inherit', 'inherit', 'inherit', 'ipc'];
  stdio[PORT_FD] = plain.fd;
  if (tls) stdio[TLS_PORT_FD] = tls.fd;
  return {
    name,
    process: fork(WORKER, [], { stdio: stdio as ['inherit'] }),
    startedAt: performance.now(),
    booted: false,
    serves: false,
    listening: false,
    retired: false,
    revision: null,
    told: 0,
    isLoading: true,
  };
}

export function tell({ process }: Slot, message: ToWorker): void {
  if (process.connected) process.send(message);
}

export function hasEnded({ process }: Slot): boolean {
  return process.exitCode !== null || process.signalCode !== null;
}
