import { connect, isIP, type LookupFunction, Socket } from 'node:net';
import { connect as connectTls, type SecureContext } from 'node:tls';
import type { PoolRules } from '../decide/compile/compile-upstream.js';
import type { PoolParts } from './pool-parts.js';
import { TlsFailure, UpstreamTls } from './upstream-tls.js';

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
function originOf(text: string): Origin {
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

/** What sockets to an origin are made with. */
export interface Dialling {
  origin: Origin;
  lookup: LookupFunction;
  /** null: by plain HTTP */
  tls: UpstreamTls | null;
}

export function diallingOf(rules: PoolRules, { addresses, certificates }: PoolParts): Dialling {
  const tls = rules.tls && new UpstreamTls(rules.tls, certificates);
  return { origin: originOf(rules.origin), lookup: addresses.lookup, tls };
}

/** @param onRead returns whether to read on */
export function openSocket(
  { origin: { host, port }, lookup, tls }: Dialling,
  onReady: () => void,
  onRead: (length: number, bytes: Buffer) => boolean,
): Socket {
  // of a name with several addresses the next one is tried when one refuses, or says nothing for a quarter of a second
  const options = { host, port, lookup, autoSelectFamily: true };
  if (!tls) {
    const callback = onRead as (length: number, bytes: Uint8Array) => boolean;
    const onread = { buffer: READ_BUFFER, callback };
    return connect({ ...options, noDelay: true, allowHalfOpen: true, onread }).once('connect', onReady);
  }
  let secureContext: SecureContext;
  try {
    secureContext = tls.context();
  } catch (error) {
    return new Socket().destroy(new TlsFailure(error as Error));
  }
  const servername = tls.serverName ?? (isIP(host) === 0 ? host : '');
  const socket = connectTls({
    ...options,
    servername,
    secureContext,
    session: tls.session,
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: true, // whatever NODE_TLS_REJECT_UNAUTHORIZED says
  });
  socket.on('session', (session) => (tls.session = session));
  socket.on('data', (bytes: Buffer) => {
    if (!onRead(bytes.length, bytes)) socket.pause();
  });
  return socket.setNoDelay(true).once('secureConnect', onReady);
}
