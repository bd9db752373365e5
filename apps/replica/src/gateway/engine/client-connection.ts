import type { Socket } from 'node:net';
import { Backlog } from './backlog.js';
import { BOUNDS } from './bounds.js';
import { ClientAnswer } from './client-answer.js';
import type { ClientExchange } from './client-exchange.js';
import type { ClientSide } from './client-side.js';
import type { ConnectionHost } from './engine-parts.js';
import { callerOf, type Caller } from './field-lines.js';
import { Linger } from './linger.js';
import { Outlet } from './outlet.js';
import { RequestBody } from './request-body.js';
import { FAULTY, type Fault, MORE } from './wire/head-parser.js';
import { CHUNKED, RequestFraming } from './wire/request-framing.js';
import { RequestParser } from './wire/request-parser.js';

/** What bytes of the client are. */
const HEAD = 0;
/** a body */
const BODY = 1;
/** a body of which it is not known yet where it goes */
const HOLD = 2;
/** the next request, which waits for the answer to this one */
const WAIT = 3;
const TUNNEL = 4;
/** nothing any more: the answer was the last one, and the client may not have read it yet */
const LINGER = 5;
const CLOSED = 6;

/**
 * One connection of a client, and the requests on it, one after the other.
 *
 *   HEAD ─▶ BODY ─▶ WAIT ─▶ HEAD ...          the next head is read when the answer before it is complete
 *    │       ▲       └────▶ LINGER ─▶ CLOSED   the answer said so, or what was sent is not HTTP any more
 *    ├▶ HOLD ┘                                 a body waits for the decision, or for a connection to the upstream
 *    └▶ WAIT ─▶ TUNNEL ─▶ CLOSED
 *
 * Everything that is called from outside is guarded: a bug costs this connection, and nothing else.
 */
export class ClientConnection implements ClientSide {
  readonly head: RequestParser;
  readonly framing = new RequestFraming();
  readonly answer: ClientAnswer;
  readonly caller: Caller;
  private readonly outlet: Outlet;
  private readonly exchange: ClientExchange;
  private readonly body: RequestBody;
  private mode = HEAD;
  /** a loop over what came is running, and goes on by itself */
  private reading = false;
  private readonly backlog: Backlog;
  /** nobody takes more of the body for now */
  private blocked = false;
  private requests = 0;
  /** monotonic milliseconds: when bytes came, or an answer was complete */
  private movedAt: number;
  private headAt = 0;
  private readonly ending: Linger;

  constructor(
    private readonly engine: ConnectionHost,
    private readonly socket: Socket,
    scheme: 'http' | 'https',
    exchangeOf: (client: ClientSide) => ClientExchange,
    private readonly onClosed: (connection: ClientConnection) => void,
  ) {
    this.caller = callerOf(socket, scheme);
    this.head = new RequestParser(this.caller.address, scheme, engine.limits.headBytes);
    this.outlet = new Outlet(socket);
    this.answer = new ClientAnswer(engine, this.outlet);
    this.exchange = exchangeOf(this);
    this.body = new RequestBody(this.framing, this.exchange);
    this.backlog = new Backlog(socket, engine.limits.pipelined);
    this.ending = new Linger(socket, engine.limits.stallMs);
    this.movedAt = engine.sweptAt;
    socket.on('data', this.onData);
    socket.on('end', () => this.guard(this.onEnd));
    socket.on('drain', () => this.guard(() => this.exchange.onClientDrain()));
    socket.on('error', () => undefined); // 'close' follows
    socket.on('close', () => this.guard(this.onClose));
  }

  /** Nothing is under way on it. */
  get idle(): boolean {
    return this.mode === HEAD && this.head.untouched;
  }

  get starved(): boolean {
    return this.mode === BODY && !this.blocked;
  }

  collectBody(): void {
    this.body.collect();
    this.beginBody();
  }

  streamBody(): void {
    this.body.stream();
    this.beginBody();
  }

  blockBody(): void {
    this.blocked = true;
    this.backlog.pause();
  }

  unblockBody(): void {
    this.blocked = false;
    this.goOn();
  }

  mustClose(): boolean {
    const { engine, framing, body } = this;
    if (engine.draining || framing.close || framing.expectsContinue || this.requests >= engine.limits.requests)
      return true;
    if (body.complete) return false;
    // where the rest of a body would stand before the next request
    return body.streaming || framing.length === CHUNKED || framing.length > BOUNDS.discardedBytes;
  }

  answered(): void {
    if (this.answer.blocked) return; // the exchange comes back when it has drained
    const { closing } = this.answer;
    this.exchange.finish();
    if (closing) return this.linger();
    if (!this.body.complete) {
      this.body.skip();
      this.mode = BODY;
      return this.goOn();
    }
    this.next();
  }

  tunnel(): void {
    this.mode = TUNNEL;
    this.goOn();
  }

  endTunnel(whole: boolean): void {
    this.outlet.end();
    if (whole) this.socket.destroySoon();
  }

  destroy(): void {
    this.mode = CLOSED;
    this.outlet.flush();
    this.socket.destroy();
  }

  reset(): void {
    this.mode = CLOSED;
    this.outlet.reset();
  }

  /** @param now monotonic milliseconds */
  sweep(now: number): void {
    this.guard(() => this.checkTimes(now));
  }

  private checkTimes(now: number): void {
    const { body, mode, movedAt, engine } = this;
    if (mode === LINGER) {
      if (this.ending.isOver(now)) this.destroy();
    } else if (this.idle) {
      if (Math.max(movedAt, engine.drainedSince) + engine.idleMs < now) this.linger();
    } else if (mode === HEAD) {
      if (this.headAt + engine.limits.headMs < now) this.refuse(this.head.tooSlow(engine.limits.headMs));
    } else if (this.starved && body.tooSlow(now - movedAt, this.answer.begun, engine.limits)) {
      if (body.unwanted) this.destroy();
      else this.exchange.onBodyFault('the body of the request comes too slowly', 408);
    } else {
      this.exchange.checkTimes(now);
    }
  }

  private readonly onData = (bytes: Buffer): void => {
    try {
      this.movedAt = this.engine.sweptAt;
      this.take(bytes);
    } catch (error) {
      this.crash(error);
    }
  };

  private take(bytes: Buffer): void {
    this.reading = true;
    let at = 0;
    while (at < bytes.length) {
      if (this.mode === HEAD) {
        at = this.readHead(bytes, at);
      } else if (this.mode === BODY) {
        at = this.body.read(bytes, at);
        if (this.body.complete && this.mode === BODY) this.bodyEnded();
      } else {
        this.takeOther(bytes, at);
        at = bytes.length;
      }
    }
    this.reading = false;
  }

  /** @returns where to read on */
  private readHead(bytes: Buffer, from: number): number {
    const { head } = this;
    if (head.untouched) this.headAt = this.engine.sweptAt;
    const at = head.feed(bytes, from, bytes.length);
    if (at === MORE) return bytes.length;
    const fault = at === FAULTY ? head.fault : this.framing.read(head);
    if (fault) {
      this.refuse(fault);
      return bytes.length;
    }
    head.finish();
    this.requests += 1;
    this.body.begin();
    this.mode = this.body.complete ? WAIT : HOLD;
    this.exchange.begin();
    return at;
  }

  private bodyEnded(): void {
    if (this.body.unwanted) return this.next();
    this.mode = WAIT;
    this.exchange.onBodyEnd();
  }

  /** Bytes that are of no use yet, or not any more. */
  private takeOther(bytes: Buffer, at: number): void {
    if (this.mode === TUNNEL) return this.exchange.onTunnelData(bytes.subarray(at));
    if (this.mode === CLOSED) return;
    if (this.mode === LINGER) {
      if (this.ending.take(bytes.length - at)) this.destroy();
      return;
    }
    this.backlog.keep(bytes, at);
    if (this.mode === WAIT && this.backlog.tooMany) this.destroy();
  }

  private next(): void {
    this.head.reset();
    this.answer.reset();
    this.mode = HEAD;
    this.goOn();
  }

  /** Bytes are wanted again, of those that wait first. */
  private goOn(): void {
    this.movedAt = this.engine.sweptAt; // whoever was not listened to has all his time
    if (this.reading) return;
    while (!this.backlog.empty && !this.blocked && this.mode !== WAIT && this.mode !== HOLD) {
      const bytes = this.backlog.take();
      if (bytes) this.take(bytes);
    }
    if (this.backlog.empty && !this.blocked) this.backlog.resume();
  }

  private beginBody(): void {
    this.mode = BODY;
    if (this.framing.expectsContinue) this.answer.sayContinue();
    this.framing.expectsContinue = false;
    this.goOn();
  }

  private linger(): void {
    this.mode = LINGER;
    this.backlog.take();
    this.blocked = false;
    this.ending.begin(this.engine.sweptAt);
    this.outlet.end();
    this.goOn();
  }

  /** A head that is no HTTP, or did not come in time. */
  private refuse(fault: Fault): void {
    this.exchange.refuseHead(fault);
    this.linger();
  }

  private readonly onEnd = (): void => {
    if (this.mode === TUNNEL) this.exchange.onTunnelEnd();
    else if (this.mode !== LINGER && this.answer.begun)
      this.reset(); // its client still reads, and must not take it for whole
    else this.destroy(); // nobody is there to be answered; the upstream is told by `onClose`
  };

  private readonly onClose = (): void => {
    this.mode = CLOSED;
    this.backlog.take();
    this.onClosed(this);
    this.exchange.abandon();
  };

  private guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.crash(error);
    }
  }

  private crash(error: unknown): void {
    this.reading = false;
    this.exchange.crash(error);
  }
}
