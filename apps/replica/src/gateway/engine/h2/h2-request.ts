import { constants, type ServerHttp2Stream } from 'node:http2';
import { BOUNDS } from '../bounds.js';
import type { ClientSide } from '../client-side.js';
import type { EngineView } from '../engine-parts.js';
import { Exchange } from '../exchange.js';
import type { Caller } from '../field-lines.js';
import type { Fault } from '../wire/head-parser.js';
import { isBelowRate } from '../request-body.js';
import { CHUNKED, RequestFraming } from '../wire/request-framing.js';
import { RequestParser } from '../wire/request-parser.js';
import { GRPC_REFUSAL, isGrpc } from './grpc.js';
import { H2Answer } from './h2-answer.js';
import { headText } from './h2-head.js';

/** Whose stream it is. */
export interface StreamOwner {
  readonly caller: Caller;
  /** bytes that a request is made of */
  received(bytes: number): void;
  /** It is over. @param broken the client broke it off */
  closed(request: H2Request, broken: boolean): void;
}

/** One request of HTTP/2 and its answer: one stream, one exchange. */
export class H2Request implements ClientSide {
  readonly head: RequestParser;
  readonly framing = new RequestFraming();
  readonly answer: H2Answer;
  readonly caller: Caller;
  private readonly exchange: Exchange;
  /** somebody wants the body, or what is left of it */
  private wanted = false;
  /** nobody takes more of the body for now */
  private blocked = false;
  private complete: boolean;
  private bodyBytes = 0;
  /** for how long more of the body was waited for */
  private waitedMs = 0;
  /** monotonic milliseconds: when bytes came */
  private movedAt: number;
  /** the last of the answer was handed over, or it was broken off from this side */
  private over = false;
  private gone = false;

  constructor(
    private readonly engine: EngineView,
    private readonly stream: ServerHttp2Stream,
    private readonly owner: StreamOwner,
  ) {
    this.caller = owner.caller;
    this.head = new RequestParser(this.caller.address, this.caller.scheme, engine.limits.headBytes);
    this.answer = new H2Answer(engine, stream);
    this.exchange = new Exchange(engine, this);
    this.movedAt = engine.sweptAt;
    this.complete = stream.endAfterHeaders;
    // of a reset this comes before 'end', which it brings about as well
    stream.on('aborted', () => this.guard(this.onGone));
    stream.on('close', () => this.guard(this.onGone));
    stream.on('drain', () => this.guard(() => this.exchange.onClientDrain()));
    stream.on('finish', () => this.guard(() => this.exchange.onClientDrain()));
    stream.on('error', () => undefined); // 'close' follows
  }

  /** @param raw names and values in turn */
  begin(raw: readonly string[]): void {
    this.guard(() => {
      const fault = this.readHead(raw);
      if (fault) this.exchange.refuseHead(fault);
      else if (!isGrpc(this.head)) return this.exchange.begin();
      else this.refuseGrpc();
      this.conclude();
    });
  }

  get starved(): boolean {
    return this.wanted && !this.blocked && !this.complete;
  }

  collectBody(): void {
    this.readBody();
  }

  streamBody(): void {
    this.readBody();
  }

  blockBody(): void {
    this.blocked = true;
    this.stream.pause();
  }

  unblockBody(): void {
    if (!this.blocked) return;
    this.blocked = false;
    this.movedAt = this.engine.sweptAt;
    this.stream.resume();
  }

  /** Other streams have nothing to do with how this one ends. */
  mustClose(): boolean {
    return false;
  }

  answered(): void {
    if (this.answer.blocked) return; // the exchange comes back when it has drained, or is finished
    this.exchange.finish();
    this.conclude();
  }

  tunnel(): void {
    throw new Error('there are no tunnels in HTTP/2');
  }

  endTunnel(): void {
    throw new Error('there are no tunnels in HTTP/2');
  }

  destroy(): void {
    this.reset();
  }

  reset(): void {
    this.over = true;
    // `close` would end the answer before the reset, and the client could take that for all of it
    this.stream.destroy(BROKEN);
    this.onGone();
  }

  /** @param now monotonic milliseconds */
  sweep(now: number): void {
    this.guard(() => {
      if (this.over) this.checkEnd(now);
      else if (this.starved && this.isTooSlow(now)) this.exchange.onBodyFault(TOO_SLOW, 408);
      else this.exchange.checkTimes(now);
    });
  }

  /** @returns what is wrong with it */
  private readHead(raw: readonly string[]): Fault | null {
    const { head, framing } = this;
    const text = headText(raw, this.complete);
    if (typeof text !== 'string') return text;
    this.owner.received(text.length);
    const bytes = Buffer.from(text, 'latin1');
    const end = head.feed(bytes, 0, bytes.length);
    const fault = head.fault ?? framing.read(head);
    if (fault) return fault;
    // nothing that came could have ended the head before its end: all of it was looked at
    if (end !== bytes.length) throw new Error('the head of a request of HTTP/2 is not what was made of it');
    head.finish();
    if (this.complete && framing.length > 0) return LENGTH_FAULT;
    return null;
  }

  private refuseGrpc(): void {
    this.answer.refuseGrpc(GRPC_REFUSAL);
    this.exchange.refuseRead({ status: 501, detail: GRPC_REFUSAL });
  }

  private readBody(): void {
    const { stream, framing } = this;
    this.wanted = true;
    this.movedAt = this.engine.sweptAt; // that it was not wanted before, the client does not know
    if (framing.expectsContinue) this.answer.sayContinue();
    framing.expectsContinue = false;
    stream.on('data', (bytes: Buffer) => this.guard(() => this.onData(bytes)));
    stream.on('end', () => this.guard(() => this.onEnd()));
  }

  private onData(bytes: Buffer): void {
    if (this.gone || this.stream.writableEnded) return; // the answer is there already
    if (bytes.length === 0) return; // as a chunk it would be the last one
    const { length } = this.framing;
    this.movedAt = this.engine.sweptAt;
    this.bodyBytes += bytes.length;
    this.owner.received(bytes.length);
    if (length !== CHUNKED && this.bodyBytes > length) return this.exchange.onBodyFault(LENGTH_FAULT.detail);
    this.exchange.onBody(bytes, 0, bytes.length);
  }

  private onEnd(): void {
    if (this.gone || this.stream.writableEnded || this.stream.aborted) return;
    const { length } = this.framing;
    if (length !== CHUNKED && this.bodyBytes !== length) return this.exchange.onBodyFault(LENGTH_FAULT.detail);
    this.complete = true;
    this.exchange.onBodyEnd();
  }

  /** The answer is complete; what is left of the body nobody needs, and the client is told so (RFC 9113, 8.1). */
  private conclude(): void {
    const { stream } = this;
    this.over = true;
    this.movedAt = this.engine.sweptAt;
    if (!this.complete && !stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
    stream.resume(); // 'close' waits until what was received is read
  }

  /** To be asked once a sweep. An upstream that answers early talks with the client, for as long as it wants. */
  private isTooSlow(now: number): boolean {
    const { limits } = this.engine;
    this.waitedMs += BOUNDS.sweepMs;
    if (this.movedAt + limits.stallMs < now) return true;
    return !this.answer.begun && isBelowRate(this.bodyBytes, this.waitedMs, limits);
  }

  /** The client does not take the last of a refusal, or does not end its side. */
  private checkEnd(now: number): void {
    if (this.movedAt + this.engine.limits.stallMs < now) this.stream.destroy(BROKEN);
  }

  /** All of the answer left: of a stream whose other side has ended before, 'close' is all that node says then. */
  private get wasTaken(): boolean {
    const { stream } = this;
    return stream.writableEnded && !stream.aborted && stream.rstCode === constants.NGHTTP2_NO_ERROR;
  }

  private readonly onGone = (): void => {
    if (this.gone) return;
    this.gone = true;
    if (!this.over && this.wasTaken) this.exchange.onClientDrain();
    this.owner.closed(this, !this.over);
    this.exchange.abandon();
    this.stream.resume();
  };

  private guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.exchange.crash(error);
    }
  }
}

/** Sends INTERNAL_ERROR to the client. */
const BROKEN = new Error('the answer was broken off');
const TOO_SLOW = 'the body of the request comes too slowly';
const LENGTH_FAULT: Fault = { status: 400, detail: 'the body of the request is not as long as content-length says' };
