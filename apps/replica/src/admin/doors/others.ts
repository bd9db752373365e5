import type { FastifyInstance } from 'fastify';
import { fail } from '#model';
import { UNKNOWN } from '../../gateway/engine/client-answer.js';
import type { RequestParser } from '../../gateway/engine/wire/request-parser.js';

/** Of all answers that are on their way: a revision can have many bytes, and a reader can be slow. */
const MAX_BYTES = 64 * 1024 * 1024;

/** What frames a message, and what the connection says by itself. */
const NOT_PASSED_ON = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'date']);

export interface OtherAnswer {
  status: number;
  /** lines, without those that frame the message */
  fields: string;
  /** of the body; UNKNOWN where there is none */
  length: number;
  bytes: Buffer;
}

/** Paths that are asked for now and then, and belong to the framework. */
export class Others {
  private sending = 0;

  constructor(private readonly instance: FastifyInstance) {}

  /** A body is not passed on: no path takes one. */
  async answer(head: RequestParser): Promise<OtherAnswer> {
    const known = head.values('if-none-match').join(', ');
    const response = await this.instance.inject({
      method: head.method,
      url: head.target,
      headers: known === '' ? {} : { 'if-none-match': known },
      remoteAddress: head.remoteAddress || 'gone', // without one it would be taken for this machine
    });
    const { statusCode, headers, rawPayload } = response;
    let fields = '';
    for (const [name, value] of Object.entries(headers))
      if (!NOT_PASSED_ON.has(name)) for (const one of [value].flat()) fields += `${name}: ${one}\r\n`;
    // an answer to HEAD says how long the one to GET would be
    const length = statusCode === 304 ? UNKNOWN : Number(headers['content-length'] ?? rawPayload.length);
    return { status: statusCode, fields, length, bytes: rawPayload };
  }

  /** An answer goes out. @throws HelioError not_ready while many are reading */
  sends(bytes: number): void {
    if (this.sending > 0 && this.sending + bytes > MAX_BYTES)
      throw fail('not_ready', 'many others are reading from here', { headers: { 'Retry-After': '1' } });
    this.sending += bytes;
  }

  /** ... and is with its client, or never will be. */
  sent(bytes: number): void {
    this.sending -= bytes;
  }
}
