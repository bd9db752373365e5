import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { LIMITS, MAX_HEADER_BYTES } from '#artifacts';
import {
  STREAM_ACCEPTS,
  STREAM_CLOSE,
  STREAM_LIMITS,
  STREAM_PATH,
  STREAM_PROTOCOL,
  type ToMaster,
  type ToReplica,
  toReplica,
} from '#model';
import { Inbox } from './inbox.js';

/** Why a connection has ended, or has not come about. */
export interface StreamEnd {
  /** `master_*`, `stream_*`, `bad_message`, or why this side has given it up */
  code: string;
  detail: string;
}

/** Where a replica stands: what it tells a master to go on from. */
export interface StreamPosition {
  epoch: number;
  revision: number;
  hash: string;
}

export interface SocketEvents {
  /** connected, and `follow` was sent with this revision */
  onUp: (revision: number) => void;
  onMessage: (message: ToReplica) => void;
  /** a revision lies in the inbox */
  onPushed: () => void;
  onEnd: (end: StreamEnd) => void;
}

export interface SocketOptions extends SocketEvents {
  /** of the master, `http(s)://` */
  url: string;
  token: string;
  position: () => StreamPosition;
  heartbeatMs: number;
}

const CONNECT_MS = 10_000;
const MISSED_HEARTBEATS = 3;
/** It may have to wait for its database; another master is tried then. */
const UNANSWERED_HEARTBEATS = 12;
const CLOSE_NAMES = new Map<number, string>(Object.entries(STREAM_CLOSE).map(([name, code]) => [code, name]));

/** One connection to one master, from its first to its last byte. It tells its end exactly once, whatever ends it. */
export class MasterSocket {
  readonly inbox = new Inbox(STREAM_LIMITS.bufferedBytes, (full) => this.#pause(full));
  readonly #socket: WebSocket;
  readonly #watch: NodeJS.Timeout;
  /** Whether a `follow` is not answered yet: frames that come before the answer belong to what was asked before. */
  #isAsked = false;
  #following = false;
  /** heartbeats since it was heard, and since it was asked: counted, so that time in which this process stood still is no silence */
  #silent = 0;
  /** Bytes are heard, not messages: a large revision takes a slow line longer than a master may be silent. */
  #connection: Socket | null = null;
  #bytesRead = 0;
  #unanswered = 0;
  #ended = false;

  constructor(private readonly options: SocketOptions) {
    const { heartbeatMs, token, url } = options;
    this.#socket = new WebSocket(`${url.replace(/^http/, 'ws')}${STREAM_PATH}`, STREAM_PROTOCOL, {
      headers: { authorization: `Bearer ${token}`, [STREAM_ACCEPTS]: 'tail' },
      handshakeTimeout: CONNECT_MS,
      followRedirects: false, // a token goes to the master that was configured, and to nobody else
      perMessageDeflate: false,
      maxPayload: LIMITS.bodyBytes + MAX_HEADER_BYTES,
      skipUTF8Validation: false,
    });
    this.#socket.on('open', () => this.#opened());
    this.#socket.on('message', (data: Buffer, isBinary) => this.#received(data, isBinary));
    this.#socket.on('upgrade', ({ socket }) => (this.#connection = socket));
    this.#socket.on('unexpected-response', (_request, response) => this.#refused(response));
    this.#socket.on('error', (error) => this.#end({ code: 'master_unreachable', detail: `${url}: ${error.message}` }));
    this.#socket.on('close', (code, reason) => this.#closed(code, reason.toString()));
    this.#watch = setInterval(() => this.#listen(), heartbeatMs);
  }

  /** Says where this replica stands, and forgets what came for where it stood before. @returns the revision that it named */
  follow(): number {
    this.#isAsked = true;
    this.#unanswered = 0;
    this.#following = false;
    this.inbox.clear();
    const { epoch, hash, revision } = this.options.position();
    this.send({ type: 'follow', epoch, revision, hash });
    return revision;
  }

  /** Whether what was sent before is with the system. */
  get isFree(): boolean {
    return this.#socket.bufferedAmount === 0;
  }

  send(message: ToMaster): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Resolves when the bytes were handed to the system; with false when there is nobody to send to any more. */
  sendFrame(bytes: Buffer): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.#socket.readyState !== WebSocket.OPEN) return resolve(false);
      this.#socket.send(bytes, (error) => resolve(!error));
    });
  }

  /** Ends it at once, for a reason that this side has. */
  end(end: StreamEnd, closeCode = 1000): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.close(closeCode, end.code);
    this.#end(end);
  }

  #opened(): void {
    if (this.#ended) return;
    if (this.#socket.protocol !== STREAM_PROTOCOL) {
      const detail = `${this.options.url} does not speak ${STREAM_PROTOCOL}`;
      return this.end({ code: 'master_refused', detail }, STREAM_CLOSE.bad_message);
    }
    this.options.onUp(this.follow());
  }

  #received(data: Buffer, isBinary: boolean): void {
    if (this.#ended) return;
    if (isBinary) {
      if (!this.#following) return;
      this.inbox.put(data);
      return this.options.onPushed();
    }
    const message = messageOf(data);
    if (typeof message === 'string') {
      const detail = `${this.options.url} sent a message that is none of ${STREAM_PROTOCOL}: ${message}`;
      return this.end({ code: 'bad_message', detail }, STREAM_CLOSE.bad_message);
    }
    if ('intent' in message) {
      this.#isAsked = false;
      this.#following = message.intent !== 'full';
    }
    this.options.onMessage(message);
  }

  /** What this side has stopped to read cannot be heard. */
  #listen(): void {
    if (this.inbox.isFull) return;
    const { heartbeatMs, url } = this.options;
    const bytes = this.#connection?.bytesRead ?? 0;
    if (bytes > this.#bytesRead) this.#silent = 0;
    this.#bytesRead = bytes;
    this.#unanswered = this.#isAsked ? this.#unanswered + 1 : 0;
    if (this.#silent++ >= MISSED_HEARTBEATS)
      this.end({ code: 'stream_silent', detail: `${url} has said nothing for ${MISSED_HEARTBEATS * heartbeatMs} ms` });
    else if (this.#unanswered > UNANSWERED_HEARTBEATS)
      this.end({ code: 'stream_silent', detail: `${url} has not answered where to begin` });
  }

  #pause(full: boolean): void {
    if (this.#ended) return;
    if (full) return this.#socket.pause();
    this.#silent = 0;
    this.#socket.resume();
  }

  #refused(response: IncomingMessage): void {
    const status = response.statusCode ?? 0;
    const passes = status >= 500 || status === 408 || status === 429;
    const detail = `${this.options.url}${STREAM_PATH} answered ${status}`;
    response.resume();
    this.#end({ code: passes ? 'master_unavailable' : 'master_refused', detail });
  }

  #closed(code: number, reason: string): void {
    const name = CLOSE_NAMES.get(code) ?? String(code);
    const said = reason === '' || reason === name ? '' : `: ${reason}`;
    const known = code === STREAM_CLOSE.unauthenticated ? 'master_refused' : 'stream_closed';
    const reasonCode = code === STREAM_CLOSE.replaced ? 'stream_replaced' : known;
    this.#end({ code: reasonCode, detail: `${this.options.url} closed the stream: ${name}${said}` });
  }

  #end(end: StreamEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#watch);
    this.inbox.clear();
    // A close that is not answered must not keep the connection; what was said with it needs a moment to go out.
    const socket = this.#socket;
    if (socket.readyState === WebSocket.CLOSING) setTimeout(() => socket.terminate(), 1000).unref();
    else socket.terminate();
    this.options.onEnd(end);
  }
}

/** @returns a text that says what is wrong with it */
function messageOf(data: Buffer): ToReplica | string {
  if (data.length > STREAM_LIMITS.messageChars) return `it has ${data.length} bytes`;
  let json: unknown;
  try {
    json = JSON.parse(data.toString());
  } catch {
    return 'it is not JSON';
  }
  const parsed = toReplica.safeParse(json);
  return parsed.success ? parsed.data : (parsed.error.issues[0]?.message ?? 'unknown');
}
