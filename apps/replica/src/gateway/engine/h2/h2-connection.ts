import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { BOUNDS } from '../bounds.js';
import type { EngineView } from '../engine-parts.js';
import { callerOf, type Caller } from '../field-lines.js';
import { H2_BOUNDS, sessionOptions } from './h2-bounds.js';
import { H2Conduct, type H2Totals } from './h2-conduct.js';
import { H2Request, type StreamOwner } from './h2-request.js';

/** One connection of a client that speaks HTTP/2, and its streams. */
export class H2Connection implements StreamOwner {
  readonly caller: Caller;
  private readonly session: ServerHttp2Session;
  private readonly requests = new Set<H2Request>();
  private readonly openedAt: number;
  private readonly conduct: H2Conduct;
  /** the client has spoken HTTP/2 */
  private greeted = false;
  /** how many streams there were, and how many of them the client broke off */
  private opened = 0;
  private broken = 0;
  /** bytes that were part of a request or an answer */
  private useful = 0;
  /** monotonic milliseconds: since when no stream is open */
  private idleSince: number;
  /** monotonic milliseconds: when the client was asked to go; 0: not yet */
  private leftAt = 0;
  private gone = false;

  constructor(
    private readonly engine: EngineView,
    private readonly socket: Socket,
    private readonly onClosed: (connection: H2Connection) => void,
  ) {
    this.openedAt = this.idleSince = engine.sweptAt;
    this.conduct = new H2Conduct(engine.sweptAt);
    this.caller = callerOf(socket, 'https');
    socket.on('error', () => undefined); // 'close' of the session follows
    socket.on('end', () => this.destroy()); // the session does not mind a socket that is half open
    this.session = performServerHandshake(socket, sessionOptions(engine.limits));
    this.session.on('stream', (stream: ServerHttp2Stream, _headers: object, _flags: number, raw: string[]) =>
      this.guard(() => this.onStream(stream, raw)),
    );
    this.session.on('remoteSettings', () => (this.greeted = true));
    this.session.on('error', () => undefined); // 'close' follows
    this.session.on('close', () => this.guard(this.onGone));
    socket.on('close', () => this.guard(this.onGone));
  }

  /** @param now monotonic milliseconds */
  sweep(now: number): void {
    this.guard(() => {
      for (const request of this.requests) request.sweep(now);
      if (!this.gone) this.checkTimes(now);
    });
  }

  destroy(): void {
    this.session.destroy();
  }

  received(bytes: number): void {
    this.useful += bytes;
  }

  closed(request: H2Request, broken: boolean): void {
    this.requests.delete(request);
    this.idleSince = this.engine.sweptAt;
    this.useful += request.answer.sentBytes;
    if (!broken) return;
    this.broken += 1;
    if (this.conduct.breaksOff(this.totals())) this.expel('too many streams are broken off');
  }

  private onStream(stream: ServerHttp2Stream, raw: readonly string[]): void {
    const { engine, requests } = this;
    this.opened += 1;
    // neither may be more than what as many connections of HTTP/1.1 would be
    if (requests.size >= H2_BOUNDS.streams || engine.metrics.inFlight >= engine.limits.connections) {
      stream.on('error', () => undefined);
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    const request = new H2Request(engine, stream, this);
    requests.add(request);
    request.begin(raw);
    if (this.opened >= engine.limits.requests) this.leave();
  }

  private checkTimes(now: number): void {
    const { engine, leftAt, requests } = this;
    if (!this.greeted && this.openedAt + engine.limits.headMs < now) return this.destroy();
    const totals = this.totals();
    this.conduct.sweep(now, totals);
    if (this.conduct.tellsNothing(totals)) return this.expel('too many frames are part of no request');
    const idle = requests.size === 0;
    if (leftAt === 0) {
      // one that was opened a moment ago may have its first request on the way
      const leaves =
        engine.draining && (this.opened > 0 || Math.max(this.idleSince, engine.drainedSince) + engine.idleMs < now);
      if (leaves || (idle && this.idleSince + engine.limits.idleMs < now)) this.leave();
    } else if (idle && Math.max(leftAt, this.idleSince) + BOUNDS.lingerMs < now) {
      this.destroy();
    }
  }

  private totals(): H2Totals {
    const { opened, broken } = this;
    let { useful } = this;
    for (const { answer } of this.requests) useful += answer.sentBytes;
    return { opened, broken, useful, read: this.socket.bytesRead };
  }

  /**
   * No new streams, please. Those that the client has sent before it hears that are not looked at, and the client knows
   * which: it may send them again elsewhere, whatever they are. (To serve them takes a GOAWAY that names no stream, after
   * which nghttp2 ignores new streams just as well, but for a call that node does not pass on.)
   */
  private leave(): void {
    if (this.leftAt !== 0 || this.gone) return;
    this.leftAt = this.engine.sweptAt;
    this.session.close();
  }

  private expel(why: string): void {
    if (!this.gone) this.session.destroy(new Error(why), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  private readonly onGone = (): void => {
    if (this.gone) return;
    this.gone = true;
    this.socket.destroy();
    this.onClosed(this);
  };

  private guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.engine.fault(error, null);
      this.destroy();
    }
  }
}
