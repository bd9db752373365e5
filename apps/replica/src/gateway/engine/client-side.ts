import type { Caller } from './field-lines.js';
import type { RequestFraming } from './wire/request-framing.js';
import type { RequestParser } from './wire/request-parser.js';

/** The answer to one request on its way to the client, in whatever version of HTTP he speaks. */
export interface Answer {
  status: number;
  /** its head was made */
  readonly begun: boolean;
  /** the connection ends with it, where connections carry one request at a time */
  closing: boolean;
  /** The client does not take it fast enough. */
  readonly blocked: boolean;
  /** Before the answer: the client may send its body. */
  sayContinue(): void;
  /**
   * @param fields lines, without those that frame the message
   * @param length of the body; UNKNOWN
   * @param bodiless no body follows, whatever the length
   * @param old the client speaks HTTP/1.0 and knows no chunks
   * @param dated Date is among the fields
   */
  begin(
    status: number,
    fields: string,
    requestId: string,
    length: number,
    bodiless: boolean,
    old: boolean,
    dated: boolean,
  ): void;
  /** The connection speaks another protocol from now on. */
  switchProtocols(fields: string, requestId: string): void;
  /** A part of the body, which is copied. */
  data(bytes: Buffer, from: number, end: number): void;
  /** Undoes `begin` while nothing has left yet. @returns whether it could */
  takeBack(): boolean;
  /** Bytes of a tunnel, which are copied. */
  pass(bytes: Buffer, from: number, end: number): void;
  flush(): void;
  end(): void;
  /** The whole body of an answer of the gateway's own. @param body one character per byte */
  endWith(body: string): void;
}

/** What is asked of a client's connection by those who carry out a request that came on it. */
export interface ClientSide {
  readonly head: RequestParser;
  readonly framing: RequestFraming;
  readonly answer: Answer;
  readonly caller: Caller;
  /** the worker waits for bytes of the body */
  readonly starved: boolean;
  /** Has the body read whole before it goes anywhere. */
  collectBody(): void;
  /** Has the body handed on as it comes. */
  streamBody(): void;
  blockBody(): void;
  unblockBody(): void;
  /** Whether the connection has to end with an answer that begins now. */
  mustClose(): boolean;
  /** The answer is complete, or on its way to a client that takes its time. */
  answered(): void;
  /** What comes from the client from now on belongs to no request. */
  tunnel(): void;
  /** Of a tunnel: nothing more goes to the client; if `whole`, nothing more comes from it either. */
  endTunnel(whole: boolean): void;
  destroy(): void;
  /** Breaks the connection. By a reset: without a length, an orderly end would pass for the end of the answer. */
  reset(): void;
}
