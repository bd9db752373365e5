import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** Where a target is. */
export interface Origin {
  secure: boolean;
  /** a name or an address, without brackets */
  host: string;
  port: number;
  /** as the Host field says it */
  authority: string;
}

/** @param text `https://host:port`, the port left out if it is the usual one */
export function originOf(text: string): Origin {
  const { protocol, hostname, port, host } = new URL(text);
  const secure = protocol === 'https:';
  return {
    secure,
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? (secure ? 443 : 80) : Number(port),
    authority: host,
  };
}

/**
 * What all upstream sockets of the worker are read into: a read fills it, and whoever is told of it has taken what it
 * needs when the callback returns, before anything else can be read.
 */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** The last TLS session of an origin, so that the next connection to it needs no whole handshake. */
export interface TlsMemory {
  session: Buffer | undefined;
}

/** @param onRead returns whether to read on */
export function openSocket(
  { secure, host, port }: Origin,
  tls: TlsMemory,
  onReady: () => void,
  onRead: (length: number, bytes: Buffer) => boolean,
): Socket {
  if (!secure) {
    const callback = onRead as (length: number, bytes: Uint8Array) => boolean;
    const socket = connect({
      host,
      port,
      noDelay: true,
      allowHalfOpen: true,
      onread: { buffer: READ_BUFFER, callback },
    });
    return socket.once('connect', onReady);
  }
  const servername = isIP(host) === 0 ? host : '';
  const socket = connectTls({ host, port, servername, session: tls.session, ALPNProtocols: ['http/1.1'] });
  socket.on('session', (session) => (tls.session = session));
  socket.on('data', (bytes: Buffer) => {
    if (!onRead(bytes.length, bytes)) socket.pause();
  });
  return socket.setNoDelay(true).once('secureConnect', onReady);
}
