import type { BodyReader } from './request-body.js';
import type { Fault } from './wire/head-parser.js';

/** What a client's connection asks of those who carry out the requests on it, one after the other. */
export interface ClientExchange extends BodyReader {
  /** the head is complete */
  begin(): void;
  /** A head that is no HTTP, or did not come in time. */
  refuseHead(fault: Fault): void;
  onBodyEnd(): void;
  /** @param status where it is a more exact one than 400 */
  onBodyFault(detail: string, status?: number): void;
  /** The answer is complete, and taken. */
  finish(): void;
  /** The client is gone, or has to go. */
  abandon(): void;
  /** @param now monotonic milliseconds */
  checkTimes(now: number): void;
  onClientDrain(): void;
  onTunnelData(bytes: Buffer): void;
  onTunnelEnd(): void;
  /** A bug costs the request that met it. */
  crash(error: unknown): void;
}
