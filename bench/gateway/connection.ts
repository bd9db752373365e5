import { connect, type Socket } from 'node:net';

const SHARED = Buffer.allocUnsafe(65_536); // read and understood before anybody else reads

/** A kept-alive connection with one request under way at most; of an answer it reads the status and how long it is. */
export class Connection {
  private readonly socket: Socket;
  private rest = Buffer.alloc(0);

  /** @param failed the connection is gone, or what came is no answer */
  constructor(
    port: number,
    opened: (connection: Connection) => void,
    private readonly answered: (connection: Connection, status: number) => void,
    private readonly failed: (why: string) => never,
  ) {
    const callback = (length: number, buffer: Uint8Array): boolean => {
      this.receive(buffer as Buffer, length);
      return true;
    };
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer: SHARED, callback } }, () =>
      opened(this),
    );
    this.socket.on('error', (error) => failed(`a connection failed: ${error.message}`));
    this.socket.on('close', () => failed('the gateway closed a connection'));
  }

  send(request: string): void {
    this.socket.write(request, 'latin1');
  }

  private receive(buffer: Buffer, length: number): void {
    const bytes =
      this.rest.length === 0 ? buffer.subarray(0, length) : Buffer.concat([this.rest, buffer.subarray(0, length)]);
    const end = bytes.indexOf('\r\n\r\n');
    const size = end === -1 ? Number.POSITIVE_INFINITY : end + 4 + this.lengthOf(bytes.toString('latin1', 0, end));
    if (bytes.length < size) {
      this.rest = Buffer.from(bytes);
      return;
    }
    if (this.rest.length > 0) this.rest = Buffer.alloc(0);
    this.answered(this, Number(bytes.toString('latin1', 9, 12)));
  }

  private lengthOf(head: string): number {
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    return length === undefined ? this.failed('an answer has no Content-Length') : Number(length);
  }
}
