import { RequestBody } from '../gateway/engine/request-body.js';
import { FAULTY, MORE } from '../gateway/engine/wire/head-parser.js';
import { RequestFraming } from '../gateway/engine/wire/request-framing.js';
import { RequestParser } from '../gateway/engine/wire/request-parser.js';

export interface ReadRequest {
  method: string;
  target: string;
  /** names and values in turn */
  fields: string[];
  /** one character per byte */
  body: string;
  /** false: its body has not ended */
  complete: boolean;
}

export interface ReadStream {
  requests: ReadRequest[];
  /** a request said that it is the last one: what follows was not looked at */
  closed: boolean;
  /** why nothing more was read: a status and a detail; null: there was nothing more, or more is needed */
  refused: string | null;
}

/** Reads requests as a connection does, one after the other, from pieces of whatever size. */
export function readRequests(pieces: readonly Buffer[]): ReadStream {
  const head = new RequestParser('', 'http');
  const framing = new RequestFraming();
  const result: ReadStream = { requests: [], closed: false, refused: null };
  const body = new RequestBody(framing, {
    onBody: (bytes, from, end) => {
      const request = result.requests.at(-1);
      if (request) request.body += bytes.toString('latin1', from, end);
    },
    onBodyFault: (detail) => (result.refused = `400 ${detail}`),
  });
  for (const piece of pieces) {
    let at = 0;
    while (at < piece.length && result.refused === null) {
      result.closed = body.complete && framing.close;
      if (result.closed) break;
      if (!body.complete) {
        at = body.read(piece, at);
      } else {
        const end = head.feed(piece, at, piece.length);
        if (end === MORE) break;
        const fault = end === FAULTY ? head.fault : framing.read(head);
        if (fault) {
          result.refused = `${fault.status} ${fault.detail}`;
          break;
        }
        head.finish();
        const { method, target } = head;
        result.requests.push({ method, target, fields: head.list(), body: '', complete: false });
        head.reset();
        body.begin();
        body.stream();
        at = end;
      }
      const last = result.requests.at(-1);
      if (last) last.complete = body.complete;
    }
  }
  return result;
}

/** A stream in two pieces, cut after `at` bytes. */
export function cutAt(bytes: Buffer, at: number): Buffer[] {
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

export function bytewise(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
}
