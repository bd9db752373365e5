import type { LineSink } from './line-sink.js';
import { withoutKeys } from './without-keys.js';

/** One request, as the access log tells it. Never a query, a header or a credential. */
export interface AccessEntry {
  requestId: string;
  /** null: the request was none */
  traceId: string | null;
  /** null: what came was no HTTP, so that nothing of it is known */
  method: string | null;
  /** without the query, where keys may stand */
  path: string | null;
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

/** Lines have to fit into what a pipe takes as a whole. */
const PATH_CHARACTERS = 1024;

/** A line of JSON for each request, or for some of them. What is not taken in time is counted and left out. */
export class AccessLog {
  /** what the lines that were written said of it */
  private toldDropped = 0;

  /**
   * @param share of the requests that are told of, above 0 and up to 1; answers of 500 and above always are
   * @param random from 0 to below 1
   * @param now milliseconds since 1970
   */
  constructor(
    private readonly sink: LineSink,
    private readonly share: number,
    private readonly random: () => number,
    private readonly now: () => number,
  ) {}

  /** Lines that nobody got. */
  get dropped(): number {
    return this.sink.dropped;
  }

  /** Whether the request is one of those that are told of. To be asked once for each. */
  takes(status: number): boolean {
    return this.share === 1 || status >= 500 || this.random() < this.share;
  }

  write(entry: AccessEntry): void {
    const { status, requestId, path } = entry;
    const share = status >= 500 ? 1 : this.share;
    const line: Record<string, unknown> = {
      time: new Date(this.now()).toISOString(),
      ...entry,
      requestId: withoutKeys(requestId),
      path: path && withoutKeys(path.slice(0, PATH_CHARACTERS)),
      totalMs: rounded(entry.totalMs),
      upstreamMs: entry.upstreamMs === null ? null : rounded(entry.upstreamMs),
    };
    if (share < 1) line['share'] = share;
    const { dropped } = this.sink;
    if (dropped > this.toldDropped) line['dropped'] = dropped - this.toldDropped;
    if (this.sink.write(JSON.stringify(line))) this.toldDropped = dropped;
  }

  /** Resolves when all was written, or the time is over. */
  flush(withinMs: number): Promise<void> {
    return this.sink.flush(withinMs);
  }
}

/** Milliseconds to a thousandth. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
