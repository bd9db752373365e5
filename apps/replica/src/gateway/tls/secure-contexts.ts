import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { Certificate } from './certificate.js';

/** Forward secrecy and authenticated encryption only; in TLS 1.2 the cheaper of two equals first. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** Which certificate a client is shown. */
export class SecureContexts {
  private readonly byName = new Map<string, { context: SecureContext; notAfter: number }>();
  /** for clients that name no server, or one that no certificate is for */
  readonly fallback: SecureContextOptions;

  /** @param certificates one at least, the fallback first. Of several for one name the one that is valid longest counts */
  constructor(certificates: readonly Certificate[]) {
    const [first] = certificates;
    if (!first) throw new Error('a TLS port needs a certificate');
    this.fallback = optionsOf(first);
    for (const certificate of certificates) {
      const { names, notAfter } = certificate;
      const context = createSecureContext(optionsOf(certificate));
      for (const name of names)
        if (notAfter > (this.byName.get(name)?.notAfter ?? 0)) this.byName.set(name, { context, notAfter });
    }
  }

  /** @param name as the client says it (SNI) @returns undefined: the fallback will do */
  find(name: string): SecureContext | undefined {
    const lower = name.toLowerCase();
    // a wildcard stands for exactly one label (RFC 9525, 6.3)
    const found = this.byName.get(lower) ?? this.byName.get(lower.replace(/^[^.]+/, '*'));
    return found?.context;
  }
}

function optionsOf({ cert, key }: Certificate): SecureContextOptions {
  return {
    cert,
    key,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
}
