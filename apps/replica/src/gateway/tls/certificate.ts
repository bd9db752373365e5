import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

/** A certificate with its chain, and its private key: never logged, nor shown in any status. */
export interface Certificate {
  /** PEM, the server's own certificate first */
  readonly cert: string;
  /** PEM */
  readonly key: string;
  /** DNS names that it is for, in lower case; `*.example.com` */
  readonly names: readonly string[];
  /** milliseconds since 1970 */
  readonly notAfter: number;
}

/** Where a certificate comes from. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** @throws Error that names the file and what is wrong with it, and tells nothing of a key */
export function readCertificate(files: CertificateFiles): Certificate {
  return parseCertificate(readText(files.cert), readText(files.key), files);
}

/** @param files what to call them in an error */
export function parseCertificate(cert: string, key: string, files: CertificateFiles): Certificate {
  const { cert: certFile, key: keyFile } = files;
  const leaf = of(certFile, 'is no certificate in PEM', () => new X509Certificate(cert));
  const secret = of(keyFile, 'is no private key in PEM, or one with a passphrase', () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(secret)) throw new Error(`${keyFile} is not the private key of ${certFile}`);
  // what comes after the first certificate, too
  of(certFile, 'cannot be used for TLS', () => createSecureContext({ cert, key }));
  return { cert, key, names: namesOf(leaf), notAfter: Date.parse(leaf.validTo) };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

function of<T>(file: string, problem: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`${file} ${problem} (${code ?? message})`);
  }
}

/** Without a name it is shown to those who ask for none, or for one that nobody has. */
function namesOf({ subjectAltName }: X509Certificate): string[] {
  const entries = subjectAltName?.split(', ') ?? [];
  return entries.filter((entry) => entry.startsWith('DNS:')).map((entry) => entry.slice(4).toLowerCase());
}
