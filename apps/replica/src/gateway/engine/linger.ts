import type { Socket } from 'node:net';
import { BOUNDS } from './bounds.js';

/**
 * The end of a connection after its last answer: what the client still sends is read for a while, because a reset would
 * overtake the answer on its way to a client that has not read it yet.
 */
export class Linger {
  private bytes = 0;
  /** monotonic milliseconds; 0: not yet */
  private startedAt = 0;
  private sentAt = 0;

  constructor(
    private readonly socket: Socket,
    private readonly stallMs: number,
  ) {}

  begin(now: number): void {
    this.startedAt = now;
  }

  /** @returns whether the client has sent more than is read */
  take(length: number): boolean {
    this.bytes += length;
    return this.bytes > BOUNDS.lingerBytes;
  }

  /** What is left of the answer may take its time; what the client sends after it may not. */
  isOver(now: number): boolean {
    if (this.socket.writableLength === 0) this.sentAt ||= now;
    return this.sentAt === 0 ? this.startedAt + this.stallMs < now : this.sentAt + BOUNDS.lingerMs < now;
  }
}
