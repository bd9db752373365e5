import type { RequestHead } from '../../decide/request-head.js';
import type { Attempt } from './spans.js';
import { isSampled, traceParentOf, traceStateOf } from './trace-context.js';
import { isChosen, type Tracing } from './tracing.js';

/** The trace that a request belongs to. One for all requests of a connection; what nobody tells of it is made when an upstream is asked. */
export class RequestTrace {
  /** empty: nobody has asked for it yet */
  traceId = '';
  /** the caller's span; empty: the trace begins here */
  parentId = '';
  state = '';
  /** of this request; empty where nothing is recorded */
  spanId = '';
  /** at upstreams, the last one under way; null where nothing is recorded */
  attempts: Attempt[] | null = null;
  private flags = '';

  clear(): void {
    this.traceId = this.spanId = '';
    this.attempts = null;
  }

  /** Follows the caller's trace, or begins one. */
  begin(head: RequestHead, { ids, sampler, exporter }: Tracing): void {
    if (this.traceId !== '') return;
    const parent = traceParentOf(head.values('traceparent'));
    this.traceId = parent?.traceId ?? ids.trace();
    this.parentId = parent?.spanId ?? '';
    this.state = parent ? traceStateOf(head.values('tracestate')) : '';
    const chosen = parent && !exporter ? isSampled(parent.flags) : this.choose(sampler, parent);
    this.flags = parent && chosen === isSampled(parent.flags) ? parent.flags : chosen ? '01' : '00';
    if (!exporter || !chosen) return;
    this.spanId = ids.span();
    this.attempts = [];
  }

  /** Another attempt at an upstream begins; the one before it has failed. @param at monotonic milliseconds */
  attempt(origin: string, at: number, { ids }: Tracing): void {
    const { attempts } = this;
    if (attempts === null) return;
    const last = attempts.at(-1);
    if (last) last.endedAt = at;
    attempts.push({ spanId: ids.span(), origin, startedAt: at, endedAt: -1 });
  }

  /** The fields that an upstream gets. @param drop names that the API has taken out, in lower case */
  lines(head: RequestHead, tracing: Tracing, drop: ReadonlySet<string> | undefined): string {
    if (drop?.has('traceparent')) return '';
    this.begin(head, tracing);
    let parentId = this.attempts?.at(-1)?.spanId ?? this.parentId;
    // of a trace that begins here, and that nobody records here, the upstream still needs a parent that is none of its own
    if (parentId === '') parentId = tracing.ids.span();
    const state = this.state === '' || drop?.has('tracestate') ? '' : `tracestate: ${this.state}\r\n`;
    return `traceparent: 00-${this.traceId}-${parentId}-${this.flags}\r\n${state}`;
  }

  private choose(sampler: Tracing['sampler'], parent: { flags: string } | null): boolean {
    return isChosen(sampler, this.traceId, parent && isSampled(parent.flags));
  }
}
