import type { Writable } from 'node:stream';

/** One request, as the access log tells it. Never a query, a header or a credential. */
export interface AccessEntry {
  requestId: string;
  method: string;
  /** without the query, where keys may stand */
  path: string;
  /** 0: the client broke it off */
  status: number;
  code: string | null;
  api: string | null;
  route: string | null;
  application: string | null;
  target: string | null;
  address: string;
  /** milliseconds */
  totalMs: number;
  upstreamMs: number | null;
}

/** JSON lines on standard output. Lines that standard output does not take in time are counted and left out. */
export class AccessLog {
  dropped = 0;

  constructor(
    private readonly out: Writable,
    private readonly now: () => number,
  ) {}

  write(entry: AccessEntry): void {
    if (this.out.writableNeedDrain) {
      this.dropped += 1;
      return;
    }
    const lost = this.dropped > 0 ? { dropped: this.dropped } : {};
    this.dropped = 0;
    this.out.write(`${JSON.stringify({ time: new Date(this.now()).toISOString(), ...entry, ...lost })}\n`);
  }
}
