import { createSecureContext, type SecureContext } from 'node:tls';
import type { TlsRules } from '../decide/compile/compile-upstream.js';
import type { ClientCertificates, ClientPair } from './client-certificates.js';

/** A connection that is there but cannot be trusted, or that cannot be made since this side has nothing to show. */
export class TlsFailure extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
    this.name = 'TlsFailure';
  }
}

/** How a pool speaks TLS: what it trusts, and what it shows. */
export class UpstreamTls {
  /** the last session, so that the next connection needs no whole handshake */
  session: Buffer | undefined;
  private made: SecureContext | null = null;
  private pair: ClientPair | null = null;

  constructor(
    private readonly rules: TlsRules,
    private readonly certificates: ClientCertificates,
  ) {}

  /** that the target's certificate has to have, if not the target's own */
  get serverName(): string | null {
    return this.rules.serverName;
  }

  /** @throws Error where the client's certificate cannot be used */
  context(): SecureContext {
    const { ca, clientCertificate, minVersion } = this.rules;
    const pair = clientCertificate === null ? null : this.certificates.get(clientCertificate);
    if (this.made && this.pair === pair) return this.made;
    this.session = undefined; // it says whom the server took us for
    this.pair = pair;
    this.made = createSecureContext({
      minVersion,
      ...(ca !== null && { ca }),
      ...(pair && { cert: pair.cert, key: pair.key }),
    });
    return this.made;
  }

  /** Connections that were made until now show a certificate that is not the one any more. */
  get outdated(): boolean {
    const { clientCertificate } = this.rules;
    if (clientCertificate === null || !this.pair) return false;
    try {
      return this.certificates.get(clientCertificate) !== this.pair;
    } catch {
      return true; // it has expired; the next connection says so
    }
  }
}
