import type { AddressInfo, Server as Port, Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Logger } from '#platform';
import { BACKLOG } from '../gateway-port.js';
import type { Limits } from '../engine/limits.js';
import type { GatewayMetrics } from '../engine/metrics.js';
import type { Certificate } from './certificate.js';
import { SecureContexts } from './secure-contexts.js';

/** Who takes connections over when they are secure. */
interface Taker {
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
  readonly limits: Limits;
  /** that are closed when it ends */
  readonly ports: Port[];
  /** it was accepted, and is in its handshake */
  expect(socket: Socket): void;
  serve(socket: Socket): void;
  fault(error: unknown, requestId: string | null): void;
}

/** Accepts connections in TLS, for HTTP/2 and HTTP/1.1 as the client likes (ALPN). */
export class TlsPort {
  private readonly server: Server;
  private contexts: SecureContexts;

  constructor(
    private readonly taker: Taker,
    certificates: readonly Certificate[],
  ) {
    this.contexts = new SecureContexts(certificates);
    this.server = createServer({
      ...this.contexts.fallback,
      SNICallback: (name, done) => done(null, this.contexts.find(name)),
      ALPNProtocols: ['h2', 'http/1.1', 'http/1.0'],
      // from the first byte of the connection to its last before HTTP
      handshakeTimeout: taker.limits.headMs,
      allowHalfOpen: true,
      noDelay: true,
      highWaterMark: 64 * 1024,
    });
    taker.ports.push(this.server);
    this.server.maxConnections = taker.limits.connections;
    this.server.on('drop', () => (taker.metrics.turnedAway += 1));
    this.server.on('connection', (socket: Socket) => taker.expect(socket));
    this.server.on('secureConnection', (socket) => this.take(socket));
    this.server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => this.onFailure(error, socket));
  }

  /**
   * @param port 0: any free one; or the descriptor of one that is open
   * @returns the port
   * @throws (rejects) what listening failed with
   */
  listen(port: number | { fd: number }, host?: string): Promise<number> {
    const where = typeof port === 'number' ? { port, host } : port;
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen({ ...where, backlog: BACKLOG }, () => {
        this.server.off('error', reject);
        this.server.on('error', (error) => this.taker.fault(error, null));
        resolve((this.server.address() as AddressInfo).port);
      });
    });
  }

  /** For handshakes that begin from now on. */
  use(certificates: readonly Certificate[]): void {
    const contexts = new SecureContexts(certificates);
    this.server.setSecureContext(contexts.fallback);
    this.contexts = contexts;
  }

  private take(socket: TLSSocket): void {
    try {
      this.taker.serve(socket);
    } catch (error) {
      socket.destroy();
      this.taker.fault(error, null);
    }
  }

  /** Scanners, old clients, wrong names: counted, since nobody could do anything about each of them. */
  private onFailure({ code, message }: NodeJS.ErrnoException, socket: TLSSocket): void {
    this.taker.metrics.handshakeFailures += 1;
    this.taker.log.debug({ address: socket.remoteAddress, reason: code ?? message }, 'a TLS handshake failed');
    socket.destroy();
  }
}
