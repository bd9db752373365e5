import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { lengthSaid, UNKNOWN } from '../client-answer.js';
import type { Answer } from '../client-side.js';
import type { EngineView } from '../engine-parts.js';

/** Parts of a body up to here are put together. */
const SMALL_BYTES = 12 * 1024;

/** What upstreams and edits may say to a client of HTTP/1.1 only. */
const OF_ONE_CONNECTION = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'te',
]);

/** An answer as HTTP/2 on a stream. */
export class H2Answer implements Answer {
  status = 0;
  begun = false;
  closing = false;
  /** bytes of heads and bodies that were handed over */
  sentBytes = 0;
  private headers: OutgoingHttpHeaders = {};
  private bodiless = false;
  private text = '';
  /** the head has left */
  private away = false;
  private grpcMessage: string | null = null;

  constructor(
    private readonly engine: EngineView,
    private readonly stream: ServerHttp2Stream,
  ) {}

  /** Until 'drain'; after the end, until 'finish'. */
  get blocked(): boolean {
    const { stream } = this;
    if (stream.destroyed) return false;
    return stream.writableEnded ? !stream.writableFinished : stream.writableNeedDrain;
  }

  /**
   * Whatever comes, the client is told that the method is not implemented, in the way of gRPC: a single head that is also
   * the trailers. A status of HTTP would reach the program that called as "unknown" without a word.
   *
   * @param message printable ASCII without %
   */
  refuseGrpc(message: string): void {
    this.grpcMessage = message;
  }

  sayContinue(): void {
    if (!this.stream.destroyed && !this.away) this.stream.additionalHeaders({ ':status': 100 });
  }

  begin(
    status: number,
    fields: string,
    requestId: string,
    length: number,
    bodiless: boolean,
    _old: boolean,
    dated: boolean,
  ): void {
    this.begun = true;
    this.status = status;
    this.bodiless = bodiless || this.grpcMessage !== null;
    // without a prototype: upstreams may name a field `constructor`, or even `__proto__`
    const headers = Object.create(null) as OutgoingHttpHeaders;
    headers[':status'] = status;
    if (this.grpcMessage === null) {
      addLines(headers, fields);
      const said = lengthSaid(status, length);
      if (said !== UNKNOWN) headers['content-length'] = said;
    } else {
      headers[':status'] = 200;
      headers['content-type'] = 'application/grpc';
      headers['grpc-status'] = GRPC_UNIMPLEMENTED;
      headers['grpc-message'] = this.grpcMessage;
    }
    headers['x-request-id'] = requestId;
    if (!dated) headers['date'] = this.engine.dateLine.slice('Date: '.length, -2);
    this.headers = headers;
    this.sentBytes += fields.length;
  }

  switchProtocols(): void {
    throw new Error('there are no upgrades in HTTP/2');
  }

  pass(): void {
    throw new Error('there are no tunnels in HTTP/2');
  }

  data(bytes: Buffer, from: number, end: number): void {
    if (this.bodiless) return;
    this.sentBytes += end - from;
    if (end - from <= SMALL_BYTES) {
      this.text += bytes.toString('latin1', from, end);
      if (this.text.length > SMALL_BYTES) this.flush();
      return;
    }
    this.flush();
    if (!this.stream.destroyed) this.stream.write(Buffer.from(bytes.subarray(from, end)));
  }

  takeBack(): boolean {
    if (this.away) return false;
    this.begun = false;
    this.text = '';
    return true;
  }

  flush(): void {
    if (!this.begun) return;
    this.sendHead(this.bodiless);
    const { text, stream } = this;
    this.text = '';
    if (text !== '' && !stream.destroyed) stream.write(text, 'latin1');
  }

  end(): void {
    const { text, stream } = this;
    this.text = '';
    this.sendHead(this.bodiless || text === '');
    if (stream.writableEnded || stream.destroyed) return;
    if (text === '') stream.end();
    else stream.end(text, 'latin1');
  }

  endWith(body: string): void {
    if (!this.bodiless) this.text += body;
    this.end();
  }

  private sendHead(endStream: boolean): void {
    if (this.away) return;
    this.away = true;
    const { stream } = this;
    if (!stream.destroyed && !stream.closed) stream.respond(this.headers, { endStream });
  }
}

/** gRPC's status of a method that is not there (https://grpc.github.io/grpc/core/md_doc_statuscodes.html). */
const GRPC_UNIMPLEMENTED = '12';

/** Several fields of one name are one list (RFC 9110, 5.3), but for Set-Cookie; node refuses several of some names. */
function addLines(headers: OutgoingHttpHeaders, lines: string): void {
  for (let at = 0; at < lines.length; ) {
    const colon = lines.indexOf(':', at);
    const end = lines.indexOf('\r\n', colon);
    const name = lines.slice(at, colon).toLowerCase();
    const value = lines.slice(colon + 2, end);
    at = end + 2;
    if (OF_ONE_CONNECTION.has(name)) continue;
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (name !== constants.HTTP2_HEADER_SET_COOKIE) headers[name] = `${String(before)}, ${value}`;
    else if (Array.isArray(before)) before.push(value);
    else headers[name] = [String(before), value];
  }
}
