import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** Sockets that are written to before the rest of what came is read. */
const TOGETHER = 64;

/** Characters that wait for that: more leave at once, so that it is seen whether the peer takes them. */
const MOST = 64 * 1024;

/** Sockets to be written to, of all connections of an engine. */
const waiting: Outlet[] = [];
let planned = false;

/**
 * What goes to a socket. Text leaves when everything that came in this turn of the event loop was read, or a handful of
 * sockets have something to say: a peer on another core that sleeps is woken once for all of it, which is a quarter of
 * what a request costs where each write wakes it.
 */
export class Outlet {
  /** how often text has left */
  flushes = 0;
  private text = '';
  private plannedFor = false;

  constructor(private readonly socket: Socket) {}

  /** The peer does not take it fast enough: 'drain' of the socket follows. */
  get full(): boolean {
    return this.socket.writableNeedDrain;
  }

  /** Text was said that has not left. */
  get pending(): boolean {
    return this.text !== '';
  }

  /** @param text one character per byte */
  say(text: string): void {
    this.text += text;
    if (this.text.length > MOST) return this.flush();
    if (this.plannedFor) return;
    this.plannedFor = true;
    if (waiting.push(this) >= TOGETHER) flushAll();
    else if (!planned) {
      planned = true;
      setImmediate(flushAll);
    }
  }

  /** Bytes leave at once, after the text before them. */
  pass(bytes: Buffer): void {
    this.flush();
    this.socket.write(bytes);
  }

  flush(): void {
    const { text } = this;
    this.text = '';
    if (text === '') return;
    this.flushes += 1;
    if (!this.socket.destroyed) this.socket.write(text, 'latin1');
  }

  /** Nothing more is said. */
  end(): void {
    this.flush();
    this.socket.end();
  }

  /** Ends it at once, and so that nobody takes that for the end of an answer. */
  reset(): void {
    this.flush();
    // in TLS an end without a word (close_notify) is seen to be none
    if (this.socket instanceof TLSSocket) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  /** @internal */
  settle(): void {
    this.plannedFor = false;
    this.flush();
  }
}

function flushAll(): void {
  planned = false;
  for (const outlet of waiting.splice(0)) outlet.settle();
}
