import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { until } from '#harness';
import { STREAM_PATH, STREAM_PROTOCOL, type ToMaster, toMaster, type ToReplica } from '#model';

type Follow = Extract<ToMaster, { type: 'follow' }>;

/** One replica's connection, as the master sees it. */
export class ScriptedConnection {
  readonly heard: ToMaster[] = [];
  readonly frames: Buffer[] = [];
  /** code and reason, when it has ended */
  closed: [number, string] | null = null;

  constructor(
    readonly socket: WebSocket,
    readonly authorization: string | undefined,
  ) {
    socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) this.frames.push(data);
      else this.heard.push(toMaster.parse(JSON.parse(data.toString())));
    });
    socket.on('close', (code, reason) => (this.closed = [code, reason.toString()]));
    socket.on('error', () => undefined);
  }

  get follows(): Follow[] {
    return this.heard.filter((message) => message.type === 'follow');
  }

  get acked(): number {
    return this.heard.findLast((message) => message.type === 'ack')?.revision ?? 0;
  }

  say(message: ToReplica | object): void {
    this.socket.send(JSON.stringify(message));
  }

  /** Answers a `follow`. */
  intent(intent: 'none' | 'changes', head: Buffer): void {
    this.say({ type: 'intent', intent, head: head.toString() });
  }

  full(reason: 'too_far_behind' | 'fork' | 'ahead', head: Buffer): void {
    this.say({ type: 'intent', intent: 'full', reason, detail: 'as scripted', head: head.toString() });
  }

  head(head: Buffer): void {
    this.say({ type: 'head', head: head.toString() });
  }

  frame(bytes: Buffer): void {
    this.socket.send(bytes);
  }
}

/** A stream server that does what a test says, and keeps what it hears. */
export class ScriptedMaster {
  readonly connections: ScriptedConnection[] = [];
  /** what each connection does by itself; default: nothing */
  onFollow: (connection: ScriptedConnection, follow: Follow) => void = () => undefined;
  /** answers upgrades with this status instead */
  refuses: number | null = null;
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  #beats: NodeJS.Timeout;

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {
    server.on('upgrade', (request, socket, head) => {
      if (this.refuses !== null || request.url !== STREAM_PATH) {
        socket.end(`HTTP/1.1 ${this.refuses ?? 404} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
        return;
      }
      if (request.headers['sec-websocket-protocol'] !== STREAM_PROTOCOL) return void socket.destroy();
      this.#sockets.handleUpgrade(request, socket, head, (opened) =>
        this.#connected(opened, request.headers.authorization),
      );
    });
    this.#beats = setInterval(() => {
      for (const { socket } of this.connections) if (socket.readyState === 1) socket.ping();
    }, 50);
  }

  static async start(port = 0): Promise<ScriptedMaster> {
    const server = createServer((_request, response) => void response.writeHead(404).end());
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return new ScriptedMaster(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  /** The newest connection that has said where it stands. */
  following(count = 1): Promise<ScriptedConnection> {
    return until(
      () => {
        const asked = this.connections.filter(({ follows }) => follows.length > 0);
        return asked.length >= count && asked.at(-1);
      },
      { what: `${count} connections that follow`, every: 5 },
    );
  }

  /** It says nothing more, and hears nothing: gone without a goodbye. */
  mute(): void {
    clearInterval(this.#beats);
  }

  async stop(): Promise<void> {
    clearInterval(this.#beats);
    for (const { socket } of this.connections) socket.terminate();
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  #connected(socket: WebSocket, authorization: string | undefined): void {
    const connection = new ScriptedConnection(socket, authorization);
    this.connections.push(connection);
    let answered = 0;
    socket.on('message', () => {
      const { follows } = connection;
      for (; answered < follows.length; answered++) this.onFollow(connection, follows[answered] as Follow);
    });
  }
}
