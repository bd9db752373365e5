import type { ErrorCode } from '#model';
import { parseTarget } from '../decide/target.js';
import type { CompiledTarget } from '../decide/compile/compile-upstream.js';
import type { Forward, Respond } from '../decide/decision.js';
import type { AccessEntry } from './access-log.js';
import type { EngineView } from './engine-parts.js';
import { RequestTrace } from './trace/request-trace.js';
import type { RequestParser } from './wire/request-parser.js';
import { withoutKeys } from './without-keys.js';

/** What numbers and log get to know of a request. One for all requests of a connection. */
export class Outcome {
  decision: Forward | Respond | null = null;
  /** of a refusal, the upstream's failures included */
  code: ErrorCode | null = null;
  target: CompiledTarget | null = null;
  readonly trace = new RequestTrace();
  /** monotonic milliseconds; the last two are below 0 where it did not come to that */
  startedAt = 0;
  sentAt = -1;
  answeredAt = -1;

  begin(now: number): void {
    this.decision = this.code = this.target = null;
    this.trace.clear();
    this.startedAt = now;
    this.sentAt = this.answeredAt = -1;
  }

  /** A head that could not be read: nothing is known of the request but who sent it. */
  reportUnread(engine: EngineView, head: RequestParser, status: number): void {
    engine.metrics.count(null, status, 'bad_request');
    const logged = engine.accessLog?.takes(status, UNREAD.code) === true;
    if (!logged && !engine.tail.active) return;
    const { requestId, remoteAddress: address } = head;
    tell(engine, logged, { requestId, ...UNREAD, address, status });
  }

  /** A head that was read and refused before anything was decided: who calls what can be found. */
  reportRefused(engine: EngineView, head: RequestParser, status: number): void {
    const parsed = parseTarget(head.target);
    const api = (parsed.ok && engine.state.apiAt(parsed.target.segments)?.api.id) || null;
    engine.metrics.count(api, status, UNREAD.code);
    const logged = engine.accessLog?.takes(status, UNREAD.code) === true;
    if (!logged && !engine.tail.active) return;
    const { requestId, remoteAddress: address, method } = head;
    tell(engine, logged, { ...UNREAD, requestId, method, path: pathOf(head), api, address, status });
  }

  /** @param status 0: the client broke it off */
  report(engine: EngineView, head: RequestParser, status: number): void {
    const { metrics, now } = engine;
    const { decision, code, startedAt, sentAt, answeredAt } = this;
    const api = decision?.api?.id ?? null;
    const end = now();
    const upstreamMs = sentAt < 0 ? null : (answeredAt < 0 ? end : answeredAt) - sentAt;
    metrics.count(api, status, code);
    metrics.releases.count(decision?.api ?? null, status, code !== null, end - startedAt);
    if (upstreamMs !== null) metrics.upstream.observe(upstreamMs / 1000);
    // of an answer that is passed on only the time before it was asked for is the gateway's own
    // a tunnel lasts as long as its ends like
    if (status !== 101) metrics.total.observe((end - startedAt) / 1000);
    metrics.own.observe((sentAt < 0 ? end - startedAt : sentAt - startedAt) / 1000);
    const logged = engine.accessLog?.takes(status, code) === true;
    if (logged || engine.tail.active) tell(engine, logged, this.entry(head, status, end, upstreamMs));
    if (this.trace.attempts !== null) this.export(engine, head, status, end);
  }

  private entry(head: RequestParser, status: number, end: number, upstreamMs: number | null): AccessEntry {
    const { decision, code, trace } = this;
    return {
      requestId: head.requestId,
      traceId: trace.traceId || null, // one is made for every request only where it is written down
      method: head.method,
      path: pathOf(head),
      status,
      code,
      api: decision?.api?.id ?? null,
      route: decision?.route?.name ?? null,
      application: decision?.consumer?.application ?? null,
      target: this.target?.origin ?? null,
      address: head.remoteAddress,
      totalMs: end - this.startedAt,
      upstreamMs,
    };
  }

  private export({ tracing, wallMs }: EngineView, head: RequestParser, status: number, end: number): void {
    const { decision, code, trace, startedAt, answeredAt } = this;
    const { traceId, spanId, parentId, state, attempts } = trace;
    tracing.exporter?.add({
      traceId,
      spanId,
      parentId,
      state,
      attempts: attempts ?? [],
      method: head.method,
      scheme: head.scheme,
      path: withoutKeys(pathOf(head)).slice(0, 1024),
      address: head.remoteAddress,
      requestId: withoutKeys(head.requestId),
      status,
      code,
      api: decision?.api?.id ?? null,
      route: decision?.route?.name ?? null,
      application: decision?.consumer?.application ?? null,
      startedAt,
      answeredAt,
      endedAt: end,
      epochMs: wallMs() - end,
    });
  }
}

/** @param logged whether it is one of those that the access log takes */
function tell({ accessLog, tail }: EngineView, logged: boolean, entry: AccessEntry): void {
  if (logged) accessLog?.write(entry);
  if (tail.active) tail.write(entry);
}

/** Without the query, where keys may stand. */
function pathOf(head: RequestParser): string {
  return head.target.split('?', 1)[0] ?? '';
}

const UNREAD = {
  traceId: null,
  method: null,
  path: null,
  code: 'bad_request',
  api: null,
  route: null,
  application: null,
  target: null,
  totalMs: 0,
  upstreamMs: null,
} as const;
