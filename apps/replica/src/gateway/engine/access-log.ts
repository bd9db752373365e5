import type { ErrorCode } from '#model';
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
  code: ErrorCode | null;
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
   * @param share of the requests that are told of, above 0 and up to 1; those that failed always are
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
  takes(status: number, code: ErrorCode | null): boolean {
    return this.share === 1 || failed(status, code) || this.random() < this.share;
  }

  write(entry: AccessEntry): void {
    const share = failed(entry.status, entry.code) ? 1 : this.share;
    const line = lineOf(entry, this.now());
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

/** What may be told of a request. @param now milliseconds since 1970 */
export function lineOf(entry: AccessEntry, now: number): Record<string, unknown> {
  const { requestId, path, totalMs, upstreamMs } = entry;
  return {
    time: new Date(now).toISOString(),
    ...entry,
    requestId: withoutKeys(requestId),
    path: path && withoutKeys(path.slice(0, PATH_CHARACTERS)),
    totalMs: rounded(totalMs),
    upstreamMs: upstreamMs === null ? null : rounded(upstreamMs),
  };
}

/** By somebody else than the client: nonsense that is answered 501 or 505 could else fill the log. */
function failed(status: number, code: ErrorCode | null): boolean {
  return status >= 500 && code !== 'bad_request';
}

/** Milliseconds to a thousandth. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
