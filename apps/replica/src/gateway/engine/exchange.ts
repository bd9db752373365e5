import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ErrorCode } from '#model';
import type { CompiledTarget } from '../decide/compile/compile-api.js';
import type { Recording } from '../decide/cache/recording.js';
import { bodyLimitText, decide } from '../decide/decide.js';
import type { Forward, Respond } from '../decide/decision.js';
import { problem } from '../decide/problems.js';
import { Attempt, type AttemptEvents, type UpstreamFailure } from '../upstream/attempt.js';
import { ClientAnswer } from './client-answer.js';
import type { EngineParts } from './engine-parts.js';
import { clientHeaders, type HeaderList, upstreamHeaders } from './header-lists.js';
import { bodyLength, faultOfHead, NodeHead } from './request-reading.js';
import { UploadBody } from './upload-body.js';

/** Methods that may be sent twice (RFC 9110, 9.2.2). */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** What numbers and log get to know of a request. */
export interface Outcome {
  decision: Forward | Respond | null;
  /** of a refusal, the upstream's failures included */
  code: ErrorCode | null;
  target: CompiledTarget | null;
  /** monotonic milliseconds */
  startedAt: number;
  sentAt: number | null;
  answeredAt: number | null;
}

/**
 * One request and its answer, from the parsed head to the last byte.
 *
 *   decide ─▶ respond ─────────────────────────▶ answer
 *      │ ▲                                         ▲
 *      │ └─ wait: tokens are fetched               │ refused before a head was passed on
 *      └──▶ forward ─▶ attempt ─▶ head ─▶ data ─▶ end
 *                       │  ▲        └───────┴────▶ the connection is reset: an answer is whole, or seen to be broken
 *                       └──┘ another target
 *
 * Whatever calls in from outside goes through `run`: a bug ends this request, and nothing else.
 */
export class Exchange implements AttemptEvents {
  readonly head: NodeHead;
  readonly answer: ClientAnswer;
  readonly outcome: Outcome;
  /** nothing more is passed on: the client is gone, or its answer is complete */
  private over = false;
  private attempt: Attempt | null = null;
  private attempts = 0;
  private readonly tried = new Set<CompiledTarget>();
  private upload: UploadBody | null = null;
  private recording: Recording | null = null;

  /** @param expectsContinue the client sends its body when it is told to */
  constructor(
    private readonly parts: EngineParts,
    readonly request: IncomingMessage,
    readonly response: ServerResponse,
    requestId: string,
    expectsContinue: boolean,
  ) {
    this.head = new NodeHead(request, requestId);
    this.answer = new ClientAnswer(request, response, requestId, expectsContinue, parts.draining);
    this.outcome = { decision: null, code: null, target: null, startedAt: parts.now(), sentAt: null, answeredAt: null };
  }

  begin(): void {
    this.run(() => {
      this.response.on('drain', () => this.run(() => this.attempt?.resume()));
      const fault = faultOfHead(this.request);
      if (fault) this.refuse('bad_request', fault.detail, fault.status);
      else this.decide();
    });
  }

  /** The client is gone. */
  abandon(): void {
    this.over = true;
    this.recording?.abort();
    this.run(() => this.attempt?.abort());
  }

  /** What the client sends for this request is not HTTP any more. @returns whether it is told so */
  malformed(detail: string): boolean {
    if (this.over && this.answer.finish()) return true; // what was wrong with the head was told before the body came
    if (this.over || this.answer.begun || this.request.complete) return false;
    this.run(() => {
      this.attempt?.abort();
      this.answer.giveUpReading();
      this.refuse('bad_request', detail);
    });
    return true;
  }

  /** Whether the worker waits for the client: for its body, or for it to take the answer. */
  get stalled(): boolean {
    return this.over || this.upload?.starved === true || this.response.writableNeedDrain;
  }

  onHead(status: number, headers: HeaderList): void {
    this.run(() => {
      const { decision } = this.outcome;
      if (decision?.kind !== 'forward') return;
      this.outcome.answeredAt = this.parts.now();
      const passedOn = clientHeaders(headers, decision);
      try {
        this.answer.writeHead(status, passedOn);
        if (decision.uri !== null) this.recording = this.record(decision, status, headers);
      } catch {
        // node refuses to write what its own parser would refuse to read
        this.attempt?.abort();
        this.refuse('upstream_failed', 'the upstream answered with a header field or status that is not valid');
      }
    });
  }

  onData(chunk: Buffer): boolean {
    return (
      this.run(() => {
        this.recording?.write(chunk);
        return this.answer.write(chunk);
      }) ?? false
    );
  }

  onEnd(): void {
    this.run(() => {
      this.over = true;
      this.recording?.end();
      this.answer.end();
    });
  }

  onFailure(failure: UpstreamFailure): void {
    this.run(() => {
      if (this.over) return;
      this.recording?.abort();
      this.parts.log.debug(
        { err: failure.error, kind: failure.kind, target: this.outcome.target?.origin, requestId: this.head.requestId },
        'an attempt failed',
      );
      if (this.answer.begun) this.destroy();
      else if (!this.retry(failure)) this.giveUp(failure);
    });
  }

  private run<T>(step: () => T): T | undefined {
    try {
      return step();
    } catch (error) {
      this.parts.fault(error, this.head.requestId);
      this.fail();
      return undefined;
    }
  }

  private fail(): void {
    try {
      this.attempt?.abort();
      if (this.over || this.answer.begun) this.destroy();
      else this.refuse('internal', 'a fault of the gateway; its log says more under the request id');
    } catch (error) {
      this.parts.fault(error, this.head.requestId);
      this.request.socket.destroy();
    }
  }

  private decide(): void {
    if (this.over) return;
    const { state, leases, wallMs } = this.parts;
    const decision = decide(this.head, state, leases, wallMs());
    if (decision.kind === 'wait') {
      void leases.fetch(decision.subscription, decision.limits).then(() => this.run(() => this.decide()));
      return;
    }
    this.outcome.decision = decision;
    if (decision.kind === 'respond') {
      this.outcome.code = decision.code;
      this.send(decision.status, decision.headers, decision.body);
      return;
    }
    const hit = decision.uri === null ? null : this.parts.cache.lookup(this.head, decision, this.parts.now());
    if (hit) {
      this.send(hit.status, clientHeaders(hit.headers, decision), hit.body);
      return;
    }
    const target = this.parts.pools.choose(decision.api.upstream, this.tried);
    if (target) this.forward(decision, target);
  }

  private record(decision: Forward, status: number, headers: HeaderList): Recording | null {
    const { cache, now, wallMs } = this.parts;
    const times = { sentAt: this.outcome.sentAt ?? now(), now: now(), wallMs: wallMs() };
    return cache.record(this.head, decision, { status, headers }, times);
  }

  private forward(forward: Forward, target: CompiledTarget): void {
    const { pools, now } = this.parts;
    const { upstream } = forward.api;
    const length = bodyLength(this.request);
    this.tried.add(target);
    this.attempts += 1;
    this.outcome.target = target;
    this.outcome.sentAt = now();
    const upload = length === 0 ? null : new UploadBody(this.request, forward.route.policies.maxBodyBytes, this);
    this.upload = upload;
    const path = target.path + forward.path;
    const caller = {
      address: this.head.remoteAddress,
      host: this.request.headers.host ?? '',
      requestId: this.head.requestId,
    };
    const outgoing = {
      method: this.head.method,
      path: path.startsWith('/') ? path : `/${path}`,
      headers: upstreamHeaders(this.request.rawHeaders, forward, caller, length === 0 ? null : length),
      body: upload,
      timeoutMs: upstream.connectTimeoutMs + upstream.responseTimeoutMs,
      excused: () => upload?.starved === true,
    };
    const pool = pools.acquire(target, upstream);
    this.attempt = new Attempt(outgoing, this, (unreachable) => pools.release(pool, unreachable));
    this.attempt.start(pool);
  }

  onWanted(): void {
    this.run(() => this.answer.takeBody());
  }

  onProgress(): void {
    this.run(() => this.attempt?.refresh());
  }

  onTooLarge(maxBytes: number): void {
    this.run(() => {
      if (this.over) return;
      this.attempt?.abort();
      if (this.answer.begun) this.destroy();
      else this.refuse('body_too_large', bodyLimitText(maxBytes));
    });
  }

  /**
   * Another target for what was not sent; any for what may be sent twice. What took too long is not sent again: that
   * would double the load of an upstream that has too much already.
   */
  private retry({ kind }: UpstreamFailure): boolean {
    const { decision } = this.outcome;
    if (decision?.kind !== 'forward' || kind === 'timeout') return false;
    const { upstream } = decision.api;
    if (this.attempts > upstream.retries) return false;
    if (kind === 'broken') {
      if (!IDEMPOTENT.has(this.head.method) || this.upload !== null) return false;
      if (this.tried.size === upstream.targets.length) this.tried.clear();
    }
    const target = this.parts.pools.choose(upstream, this.tried);
    if (target) this.forward(decision, target);
    return target !== null;
  }

  private giveUp({ kind, error }: UpstreamFailure): void {
    const { decision } = this.outcome;
    const upstream = decision?.api?.upstream;
    if (kind === 'timeout')
      this.refuse('upstream_timeout', `the upstream did not answer within ${upstream?.responseTimeoutMs} ms`);
    else if ((error as { code?: string }).code === 'UND_ERR_CONNECT_TIMEOUT')
      this.refuse('upstream_timeout', `the upstream could not be reached within ${upstream?.connectTimeoutMs} ms`);
    else if (kind === 'broken')
      this.refuse('upstream_failed', 'the upstream broke the connection, or answered with something that is not HTTP');
    else if (this.tried.size === upstream?.targets.length)
      this.refuse('no_healthy_upstream', 'no target of the API can be connected to from this region');
    else this.refuse('upstream_failed', 'the upstream refused the connection');
  }

  private refuse(code: ErrorCode, detail: string, status?: number): void {
    this.outcome.code = code;
    const { decision } = this.outcome;
    const refusal = problem(
      code,
      detail,
      this.head.requestId,
      decision?.kind === 'forward' ? decision.headers : [],
      status,
    );
    this.send(refusal.status, refusal.headers, refusal.body);
  }

  /** An answer of the gateway itself. */
  private send(status: number, headers: HeaderList, body: string | Buffer): void {
    this.over = true;
    this.recording?.abort();
    this.answer.send(status, headers, body);
  }

  private destroy(): void {
    this.over = true;
    this.recording?.abort();
    this.attempt?.abort();
    this.answer.reset();
  }
}
