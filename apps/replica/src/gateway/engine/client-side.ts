import type { ClientAnswer } from './client-answer.js';
import type { Caller } from './field-lines.js';
import type { RequestFraming } from './wire/request-framing.js';
import type { RequestParser } from './wire/request-parser.js';

/** What is asked of a client's connection by those who carry out a request that came on it. */
export interface ClientSide {
  readonly head: RequestParser;
  readonly framing: RequestFraming;
  readonly answer: ClientAnswer;
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
