import type { Socket } from 'node:net';
import { Outlet } from '../engine/outlet.js';
import { ChunkedDecoder } from '../engine/wire/chunked-decoder.js';
import { FAULTY, MORE } from '../engine/wire/head-parser.js';
import { BY_CHUNKS, BY_CLOSE, BY_LENGTH, NO_BODY, ResponseParser } from '../engine/wire/response-parser.js';
import { type Dialling, openSocket } from './upstream-socket.js';
import { TlsFailure } from './upstream-tls.js';

/** Who sends a request and gets the answer. Bytes and heads are valid during a call only. What it throws, it is told. */
export interface UpstreamUser {
  /** its turn: `send` */
  onConnection(connection: UpstreamConnection): void;
  /** there is no connection for it, and nothing was sent */
  onUnreachable(error: Error, timedOut: boolean): void;
  /**
   * The connection was one that was kept, and ended before a byte of the request had left. Not told of requests whose body
   * comes piece by piece.
   */
  onUnsent(): void;
  /** the final head */
  onHead(head: ResponseParser): void;
  onData(bytes: Buffer, from: number, end: number): void;
  /** nothing more of what was read at once; what was told so far may leave together */
  onPause(): void;
  /** the answer is whole; or, of a tunnel: the upstream sends nothing more */
  onEnd(): void;
  /** there will be no answer, or no rest of it */
  onFailure(error: Error): void;
  /** it takes more of the request */
  onDrain(): void;
  /** one of the others threw this: a bug, after which nothing more is told */
  onFault(error: unknown): void;
}

/** Whose connection it is, and who gives it to users. */
export interface ConnectionOwner {
  readonly dialling: Dialling;
  /** it is free: it was made, or an answer on it is whole */
  give(connection: UpstreamConnection): void;
  /** Whether it is worth keeping. @param seconds what the upstream says that it keeps one; -1: nothing */
  keeps(connection: UpstreamConnection, seconds: number): boolean;
  /** it could not be made. @param failure null: it is nobody's fault */
  fail(connection: UpstreamConnection, failure: Error | null, timedOut: boolean): void;
  /** it became a tunnel: it has its own end, and no longer counts */
  letGo(connection: UpstreamConnection): void;
  /** it is gone */
  forget(connection: UpstreamConnection): void;
  /** a bug was caught on one without a user */
  onFault(error: unknown): void;
}

const CONNECTING = 0;
const IDLE = 1;
const HEAD = 2;
const BODY = 3;
const TUNNEL = 4;
const CLOSED = 5;

/** Answers of status 1xx before the one that counts. */
const INTERIM = 16;

/** One connection to an upstream: one request at a time, and after a framing error none. */
export class UpstreamConnection {
  /** milliseconds of the pool's clock: to be connected by then; of an idle one, to be closed then */
  deadline = 0;
  user: UpstreamUser | null = null;
  /** it is not used again: its address or what it shows is not the right one any more */
  retired = false;
  readonly head = new ResponseParser();
  private readonly socket: Socket;
  private readonly outlet: Outlet;
  private readonly decoder = new ChunkedDecoder();
  private state = CONNECTING;
  private left = 0;
  private toHead = false;
  private upgrading = false;
  private requestComplete = false;
  /** of the outlet, before the head of the request was said: as long as it is the same, that has not left */
  private flushesBefore = -1;
  private interim = 0;
  private paused = false;
  /** it has carried a request before */
  private used = false;
  private handshaking = false;
  private failure: Error | null = null;

  constructor(private readonly pool: ConnectionOwner) {
    this.socket = openSocket(
      pool.dialling,
      () => this.guard(() => this.onReady()),
      (length, bytes) => this.onRead(length, bytes),
    );
    this.outlet = new Outlet(this.socket);
    this.socket.on('error', (error) => (this.failure ??= error)); // 'close' follows
    if (pool.dialling.tls) this.socket.once('connect', () => (this.handshaking = true));
    this.socket.on('end', () => this.guard(() => this.onFinish()));
    this.socket.on('close', () => this.guard(() => this.close(this.failure ?? new Error('the connection was closed'))));
    this.socket.on('drain', () => this.guard(() => this.user?.onDrain()));
  }

  /** Where it leads to; undefined until it is made. */
  get address(): string | undefined {
    return this.socket.remoteAddress;
  }

  /** False between the end of the socket and the event that tells of it. */
  get usable(): boolean {
    return !this.socket.destroyed;
  }

  /**
   * Sends the head of a request, and what of its body is there.
   *
   * @param complete nothing of the body is left to be sent
   */
  send(text: string, toHead: boolean, upgrading: boolean, complete: boolean): boolean {
    this.toHead = toHead;
    this.upgrading = upgrading;
    this.requestComplete = complete;
    this.interim = 0;
    this.state = HEAD;
    this.flushesBefore = this.outlet.flushes;
    this.outlet.say(text);
    return !this.outlet.full;
  }

  /** More of a body, as it is framed. @returns false when it is not taken fast enough: `onDrain` follows */
  write(part: string | Buffer): boolean {
    if (typeof part === 'string') this.outlet.say(part);
    else this.outlet.pass(part);
    return !this.outlet.full;
  }

  completeRequest(): void {
    this.requestComplete = true;
  }

  /** Of a tunnel: nothing more goes that way. */
  endWriting(): void {
    this.outlet.end();
  }

  pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.socket.resume();
  }

  /** The user needs it no more, and what it would still say is of no use. */
  abort(): void {
    this.user = null;
    this.close(null);
  }

  /** @param error what the user is told; null: nothing */
  close(error: Error | null, timedOut = false): void {
    if (this.state === CLOSED) return;
    const { state, user } = this;
    // The upstream closed an idle connection just when it was to be used: nobody has seen a byte of the request. Not so for
    // a new one: an upstream that closes whatever it accepts would be asked for ever.
    const unsent = this.used && state === HEAD && this.requestComplete && this.outlet.pending;
    this.state = CLOSED;
    this.user = null;
    this.socket.destroy();
    if (state === CONNECTING)
      this.pool.fail(this, error && this.handshaking && !timedOut ? new TlsFailure(error) : error, timedOut);
    else this.pool.forget(this);
    if (!error || !user) return;
    try {
      if (unsent) user.onUnsent();
      else user.onFailure(error);
    } catch (bug) {
      user.onFault(bug);
    }
  }

  private onReady(): void {
    this.handshaking = false;
    this.state = IDLE;
    this.pool.give(this);
  }

  private onRead(length: number, bytes: Buffer): boolean {
    const { user } = this;
    try {
      this.read(bytes, length);
    } catch (error) {
      this.crash(error, user);
    }
    return !this.paused;
  }

  private read(bytes: Buffer, end: number): void {
    const { user } = this;
    // bytes that nobody asked for belong to no answer
    if (!user) return this.close(null);
    let at = 0;
    while (at < end && this.user === user) {
      if (this.state === HEAD) at = this.readHead(user, bytes, at, end);
      else if (this.state === BODY) at = this.readBody(user, bytes, at, end);
      else {
        user.onData(bytes, at, end);
        at = end;
      }
    }
    if (this.user === user) user.onPause();
  }

  /** @returns where to read on */
  private readHead(user: UpstreamUser, bytes: Buffer, from: number, end: number): number {
    const { head } = this;
    // the answer before this one went on after its end, and the next request was given the connection meanwhile
    if (this.outlet.flushes === this.flushesBefore) return this.refuse('there are bytes that answer no request', end);
    const at = head.feed(bytes, from, end);
    if (at === MORE) return end;
    const fault = at === FAULTY ? head.fault : head.conclude(this.toHead);
    if (fault) return this.refuse(fault.detail, end);
    if (head.status === 101) {
      if (!this.upgrading || !head.switches)
        return this.refuse('the answer switches to a protocol that nobody asked for', end);
      this.state = TUNNEL;
      user.onHead(head);
      head.reset();
      this.pool.letGo(this);
      return at;
    }
    if (head.status < 200) {
      head.reset();
      this.interim += 1;
      return this.interim > INTERIM ? this.refuse('the answer begins with too many of status 1xx', end) : at;
    }
    this.state = BODY;
    this.left = head.length;
    if (head.framing === BY_CHUNKS) this.decoder.reset();
    user.onHead(head);
    if (this.user !== user) return end;
    return head.framing === NO_BODY ? this.finish(user, at, end) : at;
  }

  private readBody(user: UpstreamUser, bytes: Buffer, from: number, end: number): number {
    switch (this.head.framing) {
      case BY_LENGTH: {
        const at = Math.min(end, from + this.left);
        this.left -= at - from;
        user.onData(bytes, from, at);
        if (this.user !== user) return end;
        return this.left === 0 ? this.finish(user, at, end) : at;
      }
      case BY_CHUNKS: {
        const { decoder } = this;
        const at = decoder.read(bytes, from, end);
        if (decoder.faulty) return this.refuse('the answer has chunks that are not valid', end);
        if (decoder.end > decoder.from) user.onData(bytes, decoder.from, decoder.end);
        if (this.user !== user) return end;
        return decoder.done ? this.finish(user, at, end) : at;
      }
      default:
        user.onData(bytes, from, end);
        return end;
    }
  }

  /** The answer is whole. The connection goes back first, so that the client's next request finds it. */
  private finish(user: UpstreamUser, at: number, end: number): number {
    const { head } = this;
    const reusable =
      head.keepsAlive && this.requestComplete && at === end && this.pool.keeps(this, head.keepAliveSeconds);
    this.user = null;
    head.reset();
    if (reusable) {
      this.used = true;
      this.state = IDLE;
      this.pool.give(this);
    } else {
      this.close(null);
    }
    user.onEnd();
    return end;
  }

  private refuse(detail: string, end: number): number {
    this.close(new Error(detail));
    return end;
  }

  private onFinish(): void {
    const { user } = this;
    if (user && this.state === TUNNEL) user.onEnd();
    else if (user && this.state === BODY && this.head.framing === BY_CLOSE) this.finish(user, 0, 0);
    else this.close(new Error('the upstream closed the connection'));
  }

  private guard(step: () => void): void {
    const { user } = this;
    try {
      step();
    } catch (error) {
      this.crash(error, user);
    }
  }

  /** A bug costs the request that met it, and the connection if that is not another's already. */
  private crash(error: unknown, user: UpstreamUser | null): void {
    if (this.user === user) {
      this.user = null;
      this.close(null);
    }
    if (user) user.onFault(error);
    else this.pool.onFault(error);
  }
}
