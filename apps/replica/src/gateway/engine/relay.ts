import type { ErrorCode } from '#model';
import type { Recording } from '../decide/cache/recording.js';
import type { Forward } from '../decide/decision.js';
import { Attempt } from '../upstream/attempt.js';
import { reasonOf } from '../upstream/failure-reason.js';
import type { Place } from '../upstream/place.js';
import type { AttemptEnd } from '../upstream/target-health.js';
import type { UpstreamConnection, UpstreamUser } from '../upstream/upstream-connection.js';
import type { CompiledUpstream } from '../decide/compile/compile-upstream.js';
import { BOUNDS } from './bounds.js';
import { isBodiless, UNKNOWN } from './client-answer.js';
import type { ClientSide } from './client-side.js';
import type { EngineView } from './engine-parts.js';
import { clientLines } from './field-lines.js';
import type { Outcome } from './outcome.js';
import { Upload } from './upload.js';
import { type FailureKind, refuseFailed, refuseForNow } from './upstream-refusals.js';
import { upstreamHead } from './upstream-head.js';
import { BY_LENGTH, NO_BODY, type ResponseParser } from './wire/response-parser.js';

/** Methods that may be sent twice (RFC 9110, 9.2.2). */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** Whose request it is. */
export interface RelayOwner {
  readonly outcome: Outcome;
  /** @param more fields of the answer, names and values in turn */
  refuse(code: ErrorCode, detail: string, status?: number, more?: readonly string[]): void;
  onBodyTooLarge(maxBytes: number): void;
  /** the whole answer was written */
  answered(): void;
  crash(error: unknown): void;
}

/** Takes a request to an upstream and its answer back: attempts, the answer as it comes, and tunnels. */
export class Relay implements UpstreamUser {
  tunnelling = false;
  private forward: Forward | null = null;
  private readonly upload: Upload;
  private readonly tried = new Set<Place>();
  private attempts = 0;
  /** has a pool from when that is asked for a connection until all is over */
  private readonly current: Attempt;
  private connection: UpstreamConnection | null = null;
  /** writes the answer down, to be kept */
  private recording: Recording | null = null;
  /** monotonic milliseconds: until when something has to move */
  private deadline = 0;

  constructor(
    private readonly engine: EngineView,
    private readonly client: ClientSide,
    private readonly exchange: RelayOwner,
  ) {
    this.upload = new Upload(client);
    this.current = new Attempt(engine.pools);
  }

  start(forward: Forward): void {
    this.forward = forward;
    this.tunnelling = false;
    this.attempts = 0;
    if (this.upload.begin()) this.attempt();
  }

  /** All is over. */
  clear(): void {
    this.forward = null;
    this.upload.clear();
    if (this.tried.size > 0) this.tried.clear();
  }

  abort(end: AttemptEnd = 'dropped', reason: string | null = null): void {
    if (this.connection) this.connection.abort();
    else this.current.pool?.cancel(this);
    this.settle(end, reason);
  }

  onBody(bytes: Buffer, from: number, end: number): void {
    const { bodyBytes } = this.engine.limits;
    const maxBytes = Math.min(this.forward?.route.policies.maxBodyBytes ?? bodyBytes, bodyBytes);
    if (!this.upload.take(bytes, from, end, maxBytes, this.connection)) this.exchange.onBodyTooLarge(maxBytes);
    else if (this.connection && !this.client.answer.begun) this.expectHead();
  }

  onBodyEnd(): void {
    if (this.upload.streaming) this.upload.end(this.connection);
    else this.attempt();
  }

  /** @param now monotonic milliseconds */
  checkTimes(now: number): void {
    if (!this.current.pool || this.deadline >= now) return;
    const { client } = this;
    if (client.answer.begun) {
      // the rest of the answer does not come, or is not taken, or nobody says anything in a tunnel
      this.abort();
      if (this.tunnelling) client.destroy();
      else client.reset();
    } else if (client.starved) {
      this.expectHead();
    } else {
      this.abort('failed', `no answer in ${this.forward?.api.upstream.responseTimeoutMs} ms`);
      this.giveUp('timeout', null, false);
    }
  }

  onClientDrain(): void {
    this.connection?.resume();
    this.expectMore();
  }

  onTunnelData(bytes: Buffer): void {
    this.expectMore();
    if (this.connection && !this.connection.write(bytes)) this.client.blockBody();
  }

  onTunnelEnd(): void {
    this.connection?.endWriting();
  }

  onConnection(connection: UpstreamConnection): void {
    const { forward, upload, client } = this;
    const { pool } = this.current;
    const { target, trace } = this.exchange.outcome;
    this.connection = connection;
    if (!forward || !pool || !target) throw new Error('a connection came without a request');
    const traced = trace.lines(client.head, this.engine.tracing, forward.route.policies.requestEdits?.drop);
    const head = upstreamHead(client, forward, target, pool, traced);
    if (upload.streaming) {
      connection.send(head, false, false, false);
      client.streamBody();
    } else {
      const { method } = client.head;
      connection.send(head + upload.text, method === 'HEAD', client.framing.upgrade, true);
    }
  }

  onUnreachable(error: Error, timedOut: boolean): void {
    this.settle('unreachable', reasonOf(error));
    this.fail('unsent', error, timedOut);
  }

  /** It may be sent anywhere, and as often as it takes: each of the connections that can end so does it once. */
  onUnsent(): void {
    this.settle('dropped');
    this.attempts -= 1;
    this.tried.clear();
    this.attempt();
  }

  onHead(response: ResponseParser): void {
    const { client, forward, engine } = this;
    const { answer, head } = client;
    if (!forward) throw new Error('an answer came without a request');
    const { outcome } = this.exchange;
    outcome.answeredAt = engine.now();
    if (response.status >= 500) this.current.tell('failed', `answered ${response.status}`);
    else this.current.tell('answered', null);
    if (forward.uri !== null) this.record(response, forward);
    const lines = clientLines(response, forward);
    if (response.status === 101) {
      this.tunnelling = true;
      answer.switchProtocols(lines, head.requestId);
      client.tunnel();
    } else {
      answer.closing = client.mustClose();
      const { status, framing, hasDate } = response;
      const length = framing === BY_LENGTH || framing === NO_BODY ? response.length : UNKNOWN;
      answer.begin(status, lines, head.requestId, length, isBodiless(head.method, status), head.old, hasDate);
    }
    this.expectMore();
  }

  onData(bytes: Buffer, from: number, end: number): void {
    this.expectMore();
    this.recording?.write(bytes.subarray(from, end));
    if (this.tunnelling) this.client.answer.pass(bytes, from, end);
    else this.client.answer.data(bytes, from, end);
  }

  onPause(): void {
    const { answer } = this.client;
    answer.flush();
    if (!answer.blocked) return;
    this.connection?.pause();
    this.deadline = this.engine.sweptAt + this.engine.limits.stallMs;
  }

  onEnd(): void {
    if (this.tunnelling) {
      this.client.endTunnel(false);
      return;
    }
    this.recording?.end();
    this.settle('dropped');
    this.client.answer.end();
    this.exchange.answered();
  }

  onFailure(error: Error): void {
    // a tunnel may end in any way
    if (this.tunnelling) this.settle('dropped');
    else this.settle('failed', reasonOf(error));
    if (this.tunnelling) this.client.endTunnel(true);
    else this.fail('broken', error, false);
  }

  onFault(error: unknown): void {
    this.exchange.crash(error);
  }

  onDrain(): void {
    this.client.unblockBody();
  }

  private attempt(): void {
    const upstream = this.forward?.api.upstream;
    if (!upstream) throw new Error('there is nothing to be forwarded');
    if (!this.tryNext(upstream)) refuseForNow(this.exchange, this.engine.pools.refusal(upstream, this.tried));
  }

  /** @returns false: no target may be asked now that was not tried */
  private tryNext(upstream: CompiledUpstream): boolean {
    const { engine, tried } = this;
    const { outcome } = this.exchange;
    const place = engine.pools.choose(upstream, tried);
    if (!place) return false;
    tried.add(place);
    this.attempts += 1;
    outcome.target = place.target;
    outcome.sentAt = engine.now();
    outcome.trace.attempt(place.target.origin, outcome.sentAt, engine.tracing);
    this.deadline = outcome.sentAt + upstream.connectTimeoutMs + upstream.responseTimeoutMs;
    this.current.begin(place, this);
    return true;
  }

  private record(response: ResponseParser, forward: Forward): void {
    const { cache, wallMs } = this.engine;
    const { sentAt, answeredAt } = this.exchange.outcome;
    const answer = { status: response.status, headers: response.list() };
    this.recording = cache.record(this.client.head, forward, answer, { sentAt, now: answeredAt, wallMs: wallMs() });
  }

  private settle(end: AttemptEnd, reason: string | null = null): void {
    this.connection = null;
    // of an answer that is whole nothing is left to be broken off
    this.recording?.abort();
    this.recording = null;
    this.current.end(end, reason);
  }

  /** The time to the head begins anew: bytes of the body go on, or the client takes its time with them. */
  private expectHead(): void {
    const upstream = this.forward?.api.upstream;
    if (upstream) this.deadline = this.engine.sweptAt + upstream.connectTimeoutMs + upstream.responseTimeoutMs;
  }

  private expectMore(): void {
    this.deadline = this.engine.sweptAt + (this.tunnelling ? BOUNDS.tunnelIdleMs : BOUNDS.upstreamStallMs);
  }

  private fail(kind: FailureKind, error: Error, timedOut: boolean): void {
    const { client, engine } = this;
    const { requestId } = client.head;
    engine.log.debug(
      { err: error, kind, target: this.exchange.outcome.target?.origin, requestId },
      'an attempt failed',
    );
    if (client.answer.begun && !client.answer.takeBack()) client.reset();
    else if (!this.retry(kind)) this.giveUp(kind, error, timedOut);
  }

  /**
   * Another target for what was not sent; any for what may be sent twice. What took too long is not sent again: that
   * would double the load of an upstream that has too much already.
   */
  private retry(kind: FailureKind): boolean {
    const { forward, tried, upload, client, engine } = this;
    if (!forward || kind === 'timeout') return false;
    const { upstream } = forward.api;
    if (this.attempts > upstream.retries) return false;
    if (kind === 'broken') {
      // a body that went on as it came is not there any more
      if (!IDEMPOTENT.has(client.head.method) || upload.streaming) return false;
      if (!engine.pools.mayRepeat(upstream)) return false;
      if (tried.size === upstream.targets.length) tried.clear();
    }
    if (!this.tryNext(upstream)) return false;
    engine.metrics.retries += 1;
    return true;
  }

  private giveUp(kind: FailureKind, error: Error | null, timedOut: boolean): void {
    const { upstream } = this.forward?.api ?? {};
    if (!upstream) throw new Error('there is nothing to be given up');
    refuseFailed(this.exchange, upstream, { kind, error, timedOut, all: this.tried.size === upstream.targets.length });
  }
}
