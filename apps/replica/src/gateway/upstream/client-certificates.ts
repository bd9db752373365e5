import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '#platform';

/** How soon changed files are seen. */
const CHECK_MS = 1000;

/** What a client shows. Another object when the files have changed. */
export interface ClientPair {
  cert: Buffer;
  key: Buffer;
  /** milliseconds since 1970 */
  validFrom: number;
  validTo: number;
}

interface Held {
  pair: ClientPair | null;
  /** why there is none, or what is wrong with newer files */
  problem: string | null;
  checkedAt: number;
  seen: string;
}

/**
 * Pairs `<name>.crt` and `<name>.key` in a directory of this machine, read again when they change. Files that do not fit
 * together, as between the writes of two files, leave the pair before them in use.
 */
export class ClientCertificates {
  private readonly held = new Map<string, Held>();

  /**
   * @param directory null: this replica has none
   * @param now monotonic milliseconds
   * @param wallMs milliseconds since 1970
   */
  constructor(
    private readonly directory: string | null,
    private readonly now: () => number,
    private readonly wallMs: () => number,
    private readonly log: Logger,
  ) {}

  /** @throws Error that says what is missing or wrong; never with anything of a key in it */
  get(name: string): ClientPair {
    if (this.directory === null)
      throw new Error(`the client certificate ${name} is needed, and HELIO_UPSTREAM_CERTIFICATES is not set here`);
    const held = this.heldOf(name, this.directory);
    if (!held.pair) throw new Error(held.problem ?? `the client certificate ${name} is not there`);
    const { validFrom, validTo } = held.pair;
    const wallMs = this.wallMs();
    if (wallMs > validTo) throw new Error(`the client certificate ${name} expired at ${textOf(validTo)}`);
    if (wallMs < validFrom) throw new Error(`the client certificate ${name} is not valid before ${textOf(validFrom)}`);
    return held.pair;
  }

  private heldOf(name: string, directory: string): Held {
    const now = this.now();
    let held = this.held.get(name);
    if (held && now - held.checkedAt < CHECK_MS) return held;
    if (!held) this.held.set(name, (held = { pair: null, problem: null, checkedAt: now, seen: '' }));
    held.checkedAt = now;
    const files = [join(directory, `${name}.crt`), join(directory, `${name}.key`)] as const;
    try {
      const seen = files.map(stampOf).join(' ');
      if (seen === held.seen) return held;
      held.seen = seen;
      held.pair = readPair(...files);
      held.problem = null;
    } catch (error) {
      this.report(held, name, (error as Error).message);
    }
    return held;
  }

  private report(held: Held, name: string, reason: string): void {
    const problem = `the client certificate ${name} cannot be used: ${reason}`;
    if (problem === held.problem) return;
    held.problem = problem;
    const instead = held.pair ? 'the one before goes on' : 'upstreams that want it are not asked';
    this.log.error({ certificate: name, reason }, `a client certificate cannot be used; ${instead}`);
  }
}

/** Other files have another one, whether they were written to, renamed or linked to. */
function stampOf(file: string): string {
  const { ino, size, mtimeMs, ctimeMs } = statSync(file);
  return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
}

function readPair(certFile: string, keyFile: string): ClientPair {
  const [cert, key] = [readFileSync(certFile), readFileSync(keyFile)];
  const parse = <T>(file: string, what: string, read: () => T): T => {
    try {
      return read();
    } catch {
      throw new Error(`${file} is not ${what} in PEM`); // OpenSSL's words would be of no use to anybody
    }
  };
  const certificate = parse(certFile, 'a certificate', () => new X509Certificate(cert));
  const privateKey = parse(keyFile, 'a private key without a passphrase', () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey)) throw new Error(`${keyFile} is not the key of ${certFile}`);
  return { cert, key, validFrom: Date.parse(certificate.validFrom), validTo: Date.parse(certificate.validTo) };
}

function textOf(ms: number): string {
  return new Date(ms).toISOString();
}
