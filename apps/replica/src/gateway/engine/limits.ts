import { BOUNDS } from './bounds.js';

/** What a client may cost, as far as settings say it. Of one gateway worker. */
export interface Limits {
  /** connections; more are closed at once */
  readonly connections: number;
  /** first line and fields of one request */
  readonly headBytes: number;
  /** body of one request; the policy `maxBodyBytes` may say less */
  readonly bodyBytes: number;
  /** requests that are answered on one connection, before it is closed and the next one may find another worker */
  readonly requests: number;
  /** requests that were sent on a connection before an earlier one was answered; one with more is broken off */
  readonly pipelined: number;
  /** from the first byte of a head to its last */
  readonly headMs: number;
  /** without a byte of a body that is being sent, or taken */
  readonly stallMs: number;
  /**
   * Bytes of a body in a second, counted over the time in which the gateway waits for them, of which `stallMs` are free; 0: no
   * matter. Whoever sends a byte now and then would else hold a connection of an upstream for as long as he likes.
   */
  readonly bodyRate: number;
  /** between two requests on a connection */
  readonly idleMs: number;
}

/** Without settings. */
export const LIMITS: Limits = {
  connections: 10_000,
  headBytes: BOUNDS.headBytes,
  bodyBytes: 1024 ** 3,
  requests: 100_000,
  pipelined: 64,
  headMs: BOUNDS.headMs,
  stallMs: 60_000,
  bodyRate: 500,
  // more than load balancers wait, so that they are the ones to close
  idleMs: 65_000,
};
