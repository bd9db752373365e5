import { randomUUID } from 'node:crypto';
import type { ErrorCode } from '#model';
import { bodyLimitText, decide } from '../decide/decide.js';
import type { Forward } from '../decide/decision.js';
import { problem } from '../decide/problems.js';
import { requestIdOf } from '../decide/request-head.js';
import { bytesOf, isBodiless } from './client-answer.js';
import type { ClientExchange } from './client-exchange.js';
import type { ClientSide } from './client-side.js';
import type { EngineView } from './engine-parts.js';
import { type HeaderList, keptLines, linesOf } from './field-lines.js';
import { Outcome } from './outcome.js';
import { OwnBody } from './own-body.js';
import { Relay, type RelayOwner } from './relay.js';
import type { Fault } from './wire/head-parser.js';

/**
 * One request after the other and its answer, from the parsed head to the last byte.
 *
 *   decide ─▶ respond ─────────────────────────▶ answer
 *      │ ▲                                         ▲
 *      │ └─ wait: tokens are fetched               │ refused before a head was passed on
 *      └──▶ forward ─▶ relay ─▶ head ─▶ data ─▶ end
 *                                └───────┴──────▶ the connection is reset: an answer is whole, or seen to be broken
 */
export class Exchange implements ClientExchange, RelayOwner {
  readonly outcome = new Outcome();
  private readonly relay: Relay;
  /** of an answer that was kept */
  private readonly body: OwnBody;
  private active = false;
  /** counts the requests, so that what one of them waited for is not taken for another */
  private turn = 0;
  /** monotonic milliseconds: until when the client has to have taken the rest of the answer; 0: it has */
  private takenBy = 0;

  constructor(
    private readonly engine: EngineView,
    private readonly client: ClientSide,
  ) {
    this.relay = new Relay(engine, client, this);
    this.body = new OwnBody(client.answer);
  }

  begin(): void {
    const { engine, client } = this;
    const { head } = client;
    this.active = true;
    this.turn += 1;
    this.outcome.begin(engine.now());
    engine.metrics.inFlight += 1;
    head.requestId = requestIdOf(head.values('x-request-id'), randomUUID);
    if (engine.tracing.exporter !== null || engine.accessLog !== null) this.outcome.trace.begin(head, engine.tracing);
    const { bodyBytes } = engine.limits;
    if (client.framing.length > bodyBytes) this.refuse('body_too_large', bodyLimitText(bodyBytes));
    else this.decide();
  }

  /** The client is gone, or has to go. */
  abandon(): void {
    if (!this.active) return;
    const status = this.relay.tunnelling ? this.client.answer.status : 0;
    this.relay.abort();
    this.conclude(status);
  }

  /** The answer is complete, and taken. */
  finish(): void {
    this.conclude(this.client.answer.status);
  }

  /** A head that is no HTTP, or did not come in time: there is no request that could be told of. */
  refuseHead({ status, detail }: Fault): void {
    const { client, engine } = this;
    client.head.requestId = randomUUID();
    client.answer.closing = true;
    this.outcome.reportUnread(engine, client.head, status);
    this.respondToHead(status, detail);
  }

  /** A head that was read, and asks for what no decision is needed to refuse. */
  refuseRead({ status, detail }: Fault): void {
    const { client, engine } = this;
    client.head.requestId = requestIdOf(client.head.values('x-request-id'), randomUUID);
    this.outcome.reportRefused(engine, client.head, status);
    this.respondToHead(status, detail);
  }

  /** @param status where HTTP has a more exact one than the code @param more fields: names and values in turn */
  refuse(code: ErrorCode, detail: string, status?: number, more: readonly string[] = []): void {
    const { decision } = this.outcome;
    this.outcome.code = code;
    const headers = decision?.kind === 'forward' ? [...decision.headers, ...more] : more;
    const refusal = problem(code, detail, this.client.head.requestId, headers, status);
    this.respond(refusal.status, linesOf(refusal.headers), bytesOf(refusal.body), false);
  }

  /** The whole answer was written. */
  answered(): void {
    if (this.client.answer.blocked) this.takenBy = this.engine.sweptAt + this.engine.limits.stallMs;
    this.client.answered();
  }

  /** A bug costs the request that met it, or the connection if that was answered already. */
  crash(error: unknown): void {
    const { engine, client, relay } = this;
    engine.fault(error, this.active ? client.head.requestId : null);
    // what was read with it may be lost: nothing that follows on this connection could be told apart any more
    client.framing.close = true;
    try {
      relay.abort();
      if (!this.active) client.destroy();
      else if (!client.answer.begun)
        this.refuse('internal', 'a fault of the gateway; its log says more under the request id');
      else client.reset();
    } catch (another) {
      engine.fault(another, null);
      client.reset();
    }
  }

  /** @param now monotonic milliseconds */
  checkTimes(now: number): void {
    if (!this.active) return;
    if (this.takenBy !== 0 && this.takenBy < now) this.client.reset();
    else this.relay.checkTimes(now);
  }

  onClientDrain(): void {
    if (this.body.pending) this.goOnWithBody();
    else if (this.takenBy !== 0) this.client.answered();
    else this.relay.onClientDrain();
  }

  onBody(bytes: Buffer, from: number, end: number): void {
    this.relay.onBody(bytes, from, end);
  }

  onBodyEnd(): void {
    this.relay.onBodyEnd();
  }

  onBodyFault(detail: string, status?: number): void {
    this.relay.abort();
    if (this.client.answer.begun) return this.client.reset();
    this.client.framing.close = true;
    this.refuse('bad_request', detail, status);
  }

  onBodyTooLarge(maxBytes: number): void {
    this.relay.abort();
    if (this.client.answer.begun) this.client.reset();
    else this.refuse('body_too_large', bodyLimitText(maxBytes));
  }

  onTunnelData(bytes: Buffer): void {
    this.relay.onTunnelData(bytes);
  }

  onTunnelEnd(): void {
    this.relay.onTunnelEnd();
  }

  private respondToHead(status: number, detail: string): void {
    const { client } = this;
    const { headers, body } = problem('bad_request', detail, client.head.requestId, [], status);
    this.respond(status, linesOf(headers), bytesOf(body), false);
  }

  private decide(): void {
    const { state, leases, metrics, wallMs } = this.engine;
    const decision = decide(this.client.head, state, leases, wallMs());
    if (decision.kind === 'wait') {
      this.fetch(decision.fetch());
      return;
    }
    this.outcome.decision = decision;
    metrics.usage.count(decision);
    if (decision.kind === 'forward') {
      if (decision.uri === null || !this.answerKept(decision)) this.relay.start(decision);
      return;
    }
    this.outcome.code = decision.code;
    this.respond(decision.status, linesOf(decision.headers), bytesOf(decision.body), isDated(decision.headers));
  }

  /** @returns whether an answer is kept that will do */
  private answerKept(forward: Forward): boolean {
    const { cache, now } = this.engine;
    const hit = cache.lookup(this.client.head, forward, now());
    if (!hit) return false;
    const bodiless = this.beginOwn(hit.status, keptLines(hit.headers, forward), hit.body.length, true);
    this.body.begin(bodiless ? NOTHING : hit.body);
    this.goOnWithBody();
    return true;
  }

  private goOnWithBody(): void {
    if (this.body.goOn()) this.answered();
    else this.takenBy = this.engine.sweptAt + this.engine.limits.stallMs;
  }

  /** Decides again when the tokens are there, or cannot be had. */
  private fetch(tokens: Promise<void>): void {
    const { turn, engine } = this;
    const since = engine.now();
    const goOn = (): void => {
      if (!this.active || this.turn !== turn) return;
      engine.metrics.leaseWait.observe((engine.now() - since) / 1000);
      try {
        this.decide();
      } catch (error) {
        this.crash(error);
      }
    };
    tokens.then(goOn, (error: unknown) => {
      if (this.active && this.turn === turn) this.crash(error);
    });
  }

  /** An answer that no upstream is asked for. @param body one character per byte @param dated Date is among the fields */
  private respond(status: number, fields: string, body: string, dated: boolean): void {
    this.beginOwn(status, fields, body.length, dated);
    this.client.answer.endWith(body);
    if (this.active) this.answered();
  }

  /** @returns whether no body follows */
  private beginOwn(status: number, fields: string, length: number, dated: boolean): boolean {
    const { answer, head } = this.client;
    answer.closing ||= this.client.mustClose();
    const bodiless = isBodiless(head.method, status);
    answer.begin(status, fields, head.requestId, length, bodiless, head.old, dated);
    return bodiless;
  }

  private conclude(status: number): void {
    this.active = false;
    this.takenBy = 0;
    this.engine.metrics.inFlight -= 1;
    this.outcome.report(this.engine, this.client.head, status);
    // an idle connection keeps no release alive that was replaced, and no body
    this.outcome.begin(0);
    this.relay.clear();
    this.body.clear();
  }
}

const NOTHING = Buffer.alloc(0);

/** A mock may say when it is of. */
function isDated(headers: HeaderList): boolean {
  return headers.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'date');
}
