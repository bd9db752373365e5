import type { Socket } from 'node:net';

const HEAD_END = Buffer.from('\r\n\r\n');

/** What a client sent before it was wanted: as much as was read at once, since after that nothing is read. */
export class Backlog {
  private bytes: Buffer | null = null;
  private paused = false;

  constructor(
    private readonly socket: Socket,
    private readonly maxRequests: number,
  ) {}

  get empty(): boolean {
    return this.bytes === null;
  }

  keep(bytes: Buffer, from: number): void {
    const rest = from === 0 ? bytes : bytes.subarray(from);
    this.bytes = this.bytes ? Buffer.concat([this.bytes, rest]) : rest;
    this.pause();
  }

  take(): Buffer | null {
    const { bytes } = this;
    this.bytes = null;
    return bytes;
  }

  pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.socket.resume();
  }

  /**
   * Whether about more requests stand in it than may: counted are empty lines, which end heads. A body that has so many of
   * them, behind a request without an answer, counts as well; to read it properly would be to read ahead, which is what is
   * to be avoided.
   */
  get tooMany(): boolean {
    const { bytes } = this;
    if (!bytes) return false;
    let count = 0;
    for (let at = bytes.indexOf(HEAD_END); at >= 0; at = bytes.indexOf(HEAD_END, at + HEAD_END.length)) count += 1;
    return count > this.maxRequests;
  }
}
