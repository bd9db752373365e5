import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { until } from '#harness';

/** Frame types (RFC 9113, 6). */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
const FRAME_BYTES = 16_384;
export const END_STREAM = 1;
export const END_HEADERS = 4;

export function frame(type: number, flags: number, stream: number, payload: Buffer | string = ''): Buffer {
  const body = Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** Fields as literals that nobody has to remember (RFC 7541, 6.2.2), for names and values below 128 bytes and above. */
export function fields(list: readonly (readonly [string, string])[]): Buffer {
  const parts = list.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]);
  return Buffer.concat(parts);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  const { length } = bytes;
  if (length < 127) return Buffer.concat([Buffer.of(length), bytes]);
  const more: number[] = [127];
  let rest = length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) more.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...more, rest]), bytes]);
}

/** What begins a request of which a test does not care about the rest. */
export const REQUEST: readonly (readonly [string, string])[] = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'localhost'],
  [':path', '/weather/v1/a'],
];

interface Frame {
  type: number;
  flags: number;
  stream: number;
  payload: Buffer;
}

/** A connection on which a test writes whatever frames it likes. */
export class H2Raw {
  readonly frames: Frame[] = [];
  closed = false;
  private rest = Buffer.alloc(0);

  private constructor(readonly socket: TLSSocket) {
    socket.on('data', (bytes: Buffer) => this.read(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => (this.closed = true));
  }

  /** @param greet whether to begin as every client has to */
  static async open(port: number, greet = true): Promise<H2Raw> {
    const socket = connect({ port, host: '127.0.0.1', ALPNProtocols: ['h2'], rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const raw = new H2Raw(socket);
    if (greet) raw.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', frame(FRAME.settings, 0, 0));
    return raw;
  }

  write(...parts: (Buffer | string)[]): void {
    if (!this.closed) for (const part of parts) this.socket.write(part);
  }

  request(stream: number, more: readonly (readonly [string, string])[] = [], flags = END_STREAM | END_HEADERS): void {
    this.head(stream, [...REQUEST, ...more], flags);
  }

  /** In as many frames as it takes. */
  head(stream: number, list: readonly (readonly [string, string])[], flags = END_STREAM | END_HEADERS): void {
    const block = fields(list);
    for (let at = 0; at < block.length; at += FRAME_BYTES) {
      const own = at === 0 ? flags & ~END_HEADERS : 0;
      const last = at + FRAME_BYTES < block.length ? 0 : flags & END_HEADERS;
      this.write(
        frame(at === 0 ? FRAME.headers : FRAME.continuation, own | last, stream, block.subarray(at, at + FRAME_BYTES)),
      );
    }
  }

  of(type: number, stream?: number): Frame[] {
    return this.frames.filter((one) => one.type === type && (stream === undefined || one.stream === stream));
  }

  /** How a request ended: the status in a problem document, or the code that its stream or the connection was reset with. */
  async outcome(stream: number): Promise<string> {
    const answered = (): boolean => this.of(FRAME.data, stream).some(({ flags }) => (flags & END_STREAM) !== 0);
    const reset = (): Frame | undefined => this.of(FRAME.reset, stream)[0];
    const expelled = (): boolean => this.of(FRAME.goaway).some(({ payload }) => payload.readUInt32BE(4) !== 0);
    await until(() => answered() || reset() || expelled(), { what: `stream ${stream} to end` });
    if (answered()) return /"status":(\d+)/.exec(this.body(stream))?.[1] ?? 'answered';
    const frame = reset();
    return frame ? `reset ${frame.payload.readUInt32BE(0)}` : `goaway ${await this.resetOf(0)}`;
  }

  body(stream: number): string {
    return Buffer.concat(this.of(FRAME.data, stream).map(({ payload }) => payload)).toString();
  }

  /** The error code of what ended a stream, or (0) the connection. */
  async resetOf(stream: number): Promise<number> {
    const type = stream === 0 ? FRAME.goaway : FRAME.reset;
    await until(() => this.of(type, stream).length > 0, { what: `stream ${stream} to be ended` });
    return (
      this.of(type, stream)
        .at(-1)
        ?.payload.readUInt32BE(stream === 0 ? 4 : 0) ?? -1
    );
  }

  private read(bytes: Buffer): void {
    this.rest = Buffer.concat([this.rest, bytes]);
    for (;;) {
      const length = this.rest.length < 9 ? Number.POSITIVE_INFINITY : this.rest.readUIntBE(0, 3);
      if (this.rest.length < 9 + length) return;
      this.frames.push({
        type: this.rest.readUInt8(3),
        flags: this.rest.readUInt8(4),
        stream: this.rest.readUInt32BE(5),
        payload: this.rest.subarray(9, 9 + length),
      });
      this.rest = this.rest.subarray(9 + length);
    }
  }
}
