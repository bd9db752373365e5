import type { Logger } from '#platform';
import type { Limits } from './engine/limits.js';
import type { TraceOptions } from './engine/trace/trace-options.js';
import type { CertificateWatch } from './tls/certificate-watch.js';

/** What can be changed while the gateway serves: by new workers. */
export interface WorkerSettings {
  /** how many processes */
  workers: number;
  /** share of the requests that get a JSON line on standard output; 0: none */
  accessLog: number;
  /** answers of upstreams that one worker may keep */
  cacheBytes: number;
  /** what clients may cost each worker */
  limits: Limits;
  traces: TraceOptions;
  /** directory of certificates that upstreams are shown; null: there are none */
  certificates: string | null;
}

export interface WorkerPoolOptions extends WorkerSettings {
  /** 0: any free one */
  port: number;
  /** the descriptor of the port, if it was open before this process began; `port` and `host` do not matter then */
  inheritedFd?: number | null;
  /** default: all addresses */
  host?: string;
  /** a second port, in TLS; default: none */
  tls?: { port: number; certificates: CertificateWatch } | null;
  stateDir: string;
  region: string;
  log: Logger;
}

export interface WorkerStatus {
  name: string;
  pid: number | null;
  /** false: it starts, or was told to end */
  listening: boolean;
  revision: number;
}
