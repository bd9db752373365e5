import type { TailLines, TailWish } from '#model';
import type { Bucket, Grant, Wish } from '#throttle';
import type { Limits } from './engine/limits.js';
import type { Certificate } from './tls/certificate.js';
import type { WorkerReport } from './engine/metric-families.js';
import type { TraceOptions } from './engine/trace/trace-options.js';

/** Where a worker finds the gateway's port among its descriptors: after the standard ones and the channel. */
export const PORT_FD = 4;
/** ... and the one in TLS, if there is one. */
export const TLS_PORT_FD = 5;

/** What process 1 and a gateway worker say to each other over their channel. */
export interface WorkerOptions {
  /** names the worker in logs, metrics and leases */
  name: string;
  stateDir: string;
  region: string;
  logLevel: string;
  /** share of the requests that are logged; 0: none */
  accessLog: number;
  cacheBytes: number;
  traces: TraceOptions;
  limits: Limits;
  /** directory of certificates that upstreams are shown */
  certificates: string | null;
  /** that clients are shown; null: there is no port in TLS */
  serverCertificates: Certificate[] | null;
}

export type ToWorker =
  /** down: names of checks of targets that fail */
  | { type: 'start'; options: WorkerOptions; headIssuedAt: number | null; down: readonly string[] }
  /** may take connections: it is known by which revision it answers them */
  | { type: 'listen' }
  /** a revision may be there; answered by `loaded`, also when there is nothing new */
  | { type: 'revision' }
  | { type: 'freshness'; headIssuedAt: number | null }
  /** for handshakes from now on */
  | { type: 'certificates'; certificates: Certificate[] }
  | { type: 'granted'; id: number; grant: Grant }
  /** its numbers are wanted now; answered by `numbers` with the same id */
  | { type: 'numbers'; id: number }
  /** names of checks of targets that fail */
  | { type: 'down'; checks: string[] }
  /** it is the one to check them from now on */
  | { type: 'check' }
  /** somebody looks at requests, or no longer */
  | { type: 'tail'; wish: TailWish }
  /** to serve what is under way, and to end; idleMs: how long connections on which nothing is may stay open */
  | { type: 'drain'; graceMs: number; idleMs: number };

export type FromWorker =
  /** its first word: what is sent to it before waits for its modules */
  | { type: 'booted' }
  | { type: 'listening'; port: number }
  /** it could not start, and ends */
  | { type: 'failed'; message: string }
  /** what it may answer a request by, from now on */
  | { type: 'loaded'; revision: number }
  /** names of all checks that fail, when they are others */
  | { type: 'down'; checks: string[] }
  /** what those who look are to be told */
  | ({ type: 'lines' } & TailLines)
  /** its last word */
  | { type: 'ended'; report: WorkerReport }
  | { type: 'take'; id: number; bucket: Bucket; wish: Wish }
  | { type: 'give'; bucket: Bucket; unused: number; lease: number }
  /** what was counted since it last said so: every few seconds (id 0), and when it is asked */
  | { type: 'numbers'; id: number; report: WorkerReport };
