import type WebSocket from 'ws';

/** Larger frames are sent in pieces, so that a slow link shows that it moves. */
const PIECE_BYTES = 256 * 1024;
/** What a frame costs beside its bytes. */
const FRAME_COST = 512;
/** Frames that one turn of the event loop hands to the socket. */
const FRAMES_PER_TURN = 256;

/** What waits in one socket: bounded in bytes, and timed. */
export class Outflow {
  private waiting = 0;
  private frames = 0;
  private thisTurn = 0;
  private rest: Buffer | null = null;
  private readonly texts: string[] = [];
  private moved = false;
  /** all that was sent, in bytes */
  sent = 0;

  /** @param onRoom called when there may be room again */
  constructor(
    private readonly socket: WebSocket,
    private readonly limitBytes: number,
    private readonly onRoom: () => void,
  ) {}

  /** Bytes that the reader has not taken. */
  get buffered(): number {
    return this.waiting;
  }

  /** Whether another frame may be sent now; if not, `onRoom` is called once it may. */
  ready(): boolean {
    this.flush();
    return this.rest === null && this.roomFor(PIECE_BYTES);
  }

  /** A binary frame, of any size; only when `ready`. */
  send(bytes: Buffer): void {
    this.rest = bytes;
    this.flush();
  }

  /** A text frame, after the binary one that is on its way. */
  say(text: string): void {
    this.texts.push(text);
    this.flush();
  }

  /** Whether the reader took something since this was asked last, or has nothing to take. */
  moves(): boolean {
    const moves = this.frames === 0 || this.moved;
    this.moved = false;
    return moves;
  }

  private flush(): void {
    for (let rest = this.rest; rest && this.roomFor(PIECE_BYTES); rest = this.rest) {
      const piece = rest.subarray(0, PIECE_BYTES);
      this.rest = piece.length < rest.length ? rest.subarray(piece.length) : null;
      this.put(piece, true, this.rest === null);
    }
    if (this.rest) return;
    for (const text of this.texts.splice(0)) this.put(text, false, true);
  }

  private roomFor(bytes: number): boolean {
    if (this.thisTurn >= FRAMES_PER_TURN) return false;
    return this.frames === 0 || this.waiting + bytes + FRAME_COST <= this.limitBytes;
  }

  private put(data: Buffer | string, binary: boolean, fin: boolean): void {
    const cost = (typeof data === 'string' ? Buffer.byteLength(data) : data.length) + FRAME_COST;
    this.frames++;
    this.waiting += cost;
    this.sent += cost - FRAME_COST;
    if (++this.thisTurn === 1) setImmediate(() => this.newTurn());
    this.socket.send(data, { binary, fin }, (error) => {
      this.frames--;
      this.waiting -= cost;
      this.moved = true;
      if (!error && this.waiting <= this.limitBytes / 2) this.onRoom();
    });
  }

  private newTurn(): void {
    const held = this.thisTurn >= FRAMES_PER_TURN;
    this.thisTurn = 0;
    if (held) this.onRoom();
  }
}
