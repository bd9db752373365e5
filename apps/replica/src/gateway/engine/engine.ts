import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { randomUUID } from 'node:crypto';
import { requestIdOf } from '../decide/request-head.js';
import { BOUNDS } from './bounds.js';
import type { EngineParts } from './engine-parts.js';
import { Exchange } from './exchange.js';
import { explainClientError, rawProblem } from './raw-problem.js';

/** Serves HTTP/1.1 by node:http: parses and frames, and leaves what is to be done to `decide`. */
export class Engine {
  private readonly server: Server;
  private readonly parts: EngineParts;
  /** unfinished requests of each connection, in order; the first one is being served */
  private readonly connections = new Map<Socket, Exchange[]>();
  /** connections that end with the answer that was given last: nothing that was sent after it is looked at */
  private readonly spent = new WeakSet<Socket>();
  private drained: (() => void) | null = null;

  constructor(parts: Omit<EngineParts, 'draining' | 'fault'>) {
    this.parts = {
      ...parts,
      draining: () => this.drained !== null,
      fault: (error, requestId) => {
        parts.metrics.faults += 1;
        parts.log.error({ err: error, requestId }, 'a fault of the gateway ended a request');
      },
    };
    this.server = createServer({
      insecureHTTPParser: false,
      maxHeaderSize: BOUNDS.headBytes,
      headersTimeout: BOUNDS.headMs,
      requestTimeout: 0, // a large body may take its time; that it moves is watched below
      keepAliveTimeout: BOUNDS.idleMs,
      connectionsCheckingInterval: 1000,
      requireHostHeader: false, // refused with a problem document, see faultOfHead
      noDelay: true,
    });
    this.server.maxConnections = BOUNDS.connections;
    this.server.maxHeadersCount = 0; // node would cut off what is above it; faultOfHead refuses
    this.server.timeout = BOUNDS.stallMs;
    this.server.on('request', (request, response) => this.accept(request, response, false));
    this.server.on('checkContinue', (request, response) => this.accept(request, response, true));
    this.server.on('checkExpectation', (request, response) => this.accept(request, response, false));
    this.server.on('clientError', (error, socket: Socket) =>
      this.guard(() => this.onClientError(error, socket), socket),
    );
    this.server.on('connect', (_, socket: Socket) => this.guard(() => this.onConnect(socket), socket));
    this.server.on('timeout', (socket: Socket) => this.guard(() => this.onTimeout(socket), socket));
    this.server.on('connection', (socket: Socket) => this.guard(() => this.onConnection(socket), socket));
  }

  /** @returns the port @throws (rejects) what listening failed with */
  listen(port: number, host: string | undefined): Promise<number> {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen({ port, host, backlog: 4096 }, () => {
        this.server.off('error', reject);
        this.server.on('error', (error) => this.parts.fault(error, null));
        resolve((this.server.address() as AddressInfo).port);
      });
    });
  }

  /** Takes no more connections, closes idle ones, and resolves when the last answer is complete or the time is over. */
  async drain(graceMs: number): Promise<void> {
    const finished = new Promise<void>((resolve) => (this.drained = resolve));
    this.server.close();
    this.server.closeIdleConnections();
    this.noteDrained();
    const timer = setTimeout(() => this.drained?.(), graceMs);
    await finished;
    clearTimeout(timer);
    this.server.closeAllConnections();
  }

  private accept(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const { socket } = request;
    if (socket.destroyed || this.spent.has(socket)) return;
    this.guard(() => {
      const requestId = requestIdOf(request.headersDistinct['x-request-id'] ?? [], randomUUID);
      const exchange = new Exchange(this.parts, request, response, requestId, expectsContinue);
      this.parts.metrics.inFlight += 1;
      response.on('close', () => this.guard(() => this.onAnswered(exchange, socket), socket));
      response.on('error', () => undefined); // the connection broke; 'close' follows
      const queue = this.connections.get(socket) ?? [];
      this.connections.set(socket, queue);
      queue.push(exchange);
      // One at a time: what is pipelined waits here and not upstream, where it could overtake.
      if (queue.length === 1) exchange.begin();
      else if (queue.length > BOUNDS.pipelined) socket.destroy(); // node:http cannot be told to read no more
    }, socket);
  }

  private onAnswered(exchange: Exchange, socket: Socket): void {
    const queue = this.connections.get(socket);
    if (queue?.[0] !== exchange) return; // the connection was closed first
    queue.shift();
    this.finish(exchange);
    if (exchange.answer.closing) this.spent.add(socket);
    else if (!socket.destroyed) queue[0]?.begin();
    if (queue.length === 0) this.connections.delete(socket);
    this.noteDrained();
  }

  /** Also for answers that waited for their turn: node:http tells only the first one that its connection is gone. */
  private onConnectionClosed(socket: Socket): void {
    this.parts.metrics.connections -= 1;
    const queue = this.connections.get(socket) ?? [];
    this.connections.delete(socket);
    for (const exchange of queue) this.guard(() => this.finish(exchange), socket);
    this.noteDrained();
  }

  private finish(exchange: Exchange): void {
    this.parts.metrics.inFlight -= 1;
    if (!exchange.response.writableFinished) exchange.abandon();
    this.report(exchange);
  }

  private noteDrained(): void {
    if (this.connections.size === 0) this.drained?.();
  }

  private onConnection(socket: Socket): void {
    this.parts.metrics.connections += 1;
    socket.once('close', () => this.guard(() => this.onConnectionClosed(socket), socket));
  }

  /** A connection on which nothing has moved for long; waiting for an upstream has its own limit. */
  private onTimeout(socket: Socket): void {
    const [current] = this.connections.get(socket) ?? [];
    if (!current || current.stalled) socket.destroy();
  }

  private onClientError(error: NodeJS.ErrnoException, socket: Socket): void {
    const [current, next] = this.connections.get(socket) ?? [];
    const { status, detail } = explainClientError(error);
    if (current && !next && current.malformed(detail)) return;
    // no byte of ours may land in the middle of another answer
    if (!current && socket.writable && error.code !== 'ECONNRESET') socket.end(rawProblem(status, detail));
    else socket.destroy();
  }

  /** node:http has let go of the socket: nobody else handles its errors, and nothing on it is read any more. */
  private onConnect(socket: Socket): void {
    socket.on('error', () => undefined); // 'close' follows
    if (this.connections.has(socket)) return void socket.destroy(); // an earlier request still waits for its answer
    socket.write(rawProblem(501, 'the gateway is no tunnel: CONNECT is not served'));
    socket.destroySoon();
  }

  private report({ outcome, head, response }: Exchange): void {
    const { metrics, accessLog, now } = this.parts;
    const { decision, code, startedAt, sentAt, answeredAt } = outcome;
    const status = response.writableFinished ? response.statusCode : 0;
    const totalMs = now() - startedAt;
    const upstreamMs = sentAt === null ? null : (answeredAt ?? now()) - sentAt;
    metrics.count(decision?.api?.id ?? null, status, code);
    if (upstreamMs !== null) metrics.upstream.observe(upstreamMs / 1000);
    // of an answer that is passed on only the time before it was asked for is the gateway's own
    metrics.own.observe((sentAt === null ? totalMs : sentAt - startedAt) / 1000);
    accessLog?.write({
      requestId: head.requestId,
      method: head.method,
      path: head.target.split('?', 1)[0] ?? '',
      status,
      code,
      api: decision?.api?.id ?? null,
      route: decision?.route?.name ?? null,
      application: decision?.consumer?.application ?? null,
      target: outcome.target?.origin ?? null,
      address: head.remoteAddress,
      totalMs,
      upstreamMs,
    });
  }

  /** A bug costs the connection that it met, and nothing else. */
  private guard(step: () => void, socket: Socket): void {
    try {
      step();
    } catch (error) {
      this.parts.fault(error, null);
      socket.destroy();
    }
  }
}
