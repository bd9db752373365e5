import type { ServerOptions } from 'node:https';
import type { Server } from 'node:tls';
import { BOUNDS } from '../gateway/engine/bounds.js';
import type { CertificateWatch } from '../gateway/tls/certificate-watch.js';
import { SecureContexts } from '../gateway/tls/secure-contexts.js';

/** TLS of the admin port, with certificates that follow their files. */
export class AdminTls {
  private contexts: SecureContexts;

  constructor(private readonly watch: CertificateWatch) {
    this.contexts = new SecureContexts(watch.certificates);
  }

  get options(): ServerOptions {
    return {
      ...this.contexts.fallback,
      SNICallback: (name, done) => done(null, this.contexts.find(name)),
      handshakeTimeout: BOUNDS.headMs,
    };
  }

  follow(server: Server): void {
    this.watch.onChange = () => {
      this.contexts = new SecureContexts(this.watch.certificates);
      server.setSecureContext(this.contexts.fallback);
    };
  }
}
