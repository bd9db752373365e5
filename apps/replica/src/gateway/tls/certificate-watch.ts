import type { Logger } from '#platform';
import { type Certificate, type CertificateFiles, readCertificate } from './certificate.js';
import { certificateFiles } from './certificate-files.js';

/** How often files are read. */
const READ_MS = 5000;

/** What may be told of a certificate. */
export interface CertificateStatus {
  file: string;
  names: readonly string[];
  /** ISO 8601 */
  notAfter: string;
  /** why the files as they are now are not used, and what was read before is; null: they are */
  fault: string | null;
}

interface Held {
  certificate: Certificate;
  fault: string | null;
}

/**
 * The certificates of one port, read again and again: files that are renamed over others and links that are pointed
 * elsewhere, as Kubernetes does, are seen whatever the file system tells of it. What cannot be used changes nothing: a pair
 * that is half written keeps its place, and is told of when it is still so at the next look.
 */
export class CertificateWatch {
  onChange: () => void = () => undefined;
  /** by the certificate's file, in the order in which they count */
  private held: Map<string, Held>;
  /** what is wrong with the setting's entries as a whole */
  private fault: string | null = null;
  /** faults of the last look, so that what is under way while it looks is none */
  private suspected = new Set<string>();
  private timer: NodeJS.Timeout | null = null;

  /** @throws Error that names the file and what is wrong with it: there is nothing yet to go on with */
  constructor(
    private readonly setting: string,
    private readonly log: Logger,
  ) {
    const files = certificateFiles(setting);
    this.held = new Map(files.map((pair) => [pair.cert, { certificate: readCertificate(pair), fault: null }]));
  }

  /** The first one is for clients that name no server, or one that no certificate is for. */
  get certificates(): Certificate[] {
    return [...this.held.values()].map(({ certificate }) => certificate);
  }

  get status(): CertificateStatus[] {
    return [...this.held].map(([file, { certificate, fault }]) => ({
      file,
      names: certificate.names,
      notAfter: new Date(certificate.notAfter).toISOString(),
      fault: fault ?? this.fault,
    }));
  }

  start(): void {
    this.timer = setInterval(() => this.look(), READ_MS).unref();
  }

  stop(): void {
    if (this.timer) clearInterval(this.timer);
  }

  /** Reads the files again. */
  look(): void {
    const suspected = new Set<string>();
    /** @returns the fault once it was seen twice; `before` until then */
    const confirm = (error: unknown, before: string | null): string | null => {
      const { message } = error as Error;
      suspected.add(message);
      if (!this.suspected.has(message)) return before;
      if (before !== message)
        this.log.error({ fault: message }, 'a certificate cannot be used; the one before goes on serving');
      return message;
    };
    try {
      this.take(certificateFiles(this.setting, new Set(this.held.keys())), confirm);
      this.fault = null;
    } catch (error) {
      this.fault = confirm(error, this.fault);
    }
    this.suspected = suspected;
  }

  private take(files: CertificateFiles[], confirm: (error: unknown, before: string | null) => string | null): void {
    const before = this.held;
    const held = new Map<string, Held>();
    for (const pair of files) {
      const old = before.get(pair.cert);
      try {
        held.set(pair.cert, { certificate: readCertificate(pair), fault: null });
      } catch (error) {
        const fault = confirm(error, old?.fault ?? null);
        // one that was never good has no place
        if (old) held.set(pair.cert, { certificate: old.certificate, fault });
      }
    }
    if (held.size === 0) return; // what is served is given up only for something else
    this.held = held;
    if (!isSame(before, held)) this.announce();
  }

  private announce(): void {
    const certificates = this.status.map(({ file, names, notAfter }) => ({ file, names, notAfter }));
    this.log.info({ certificates }, 'certificates were read anew');
    this.onChange();
  }
}

function isSame(a: ReadonlyMap<string, Held>, b: ReadonlyMap<string, Held>): boolean {
  const text = (held: ReadonlyMap<string, Held>): string =>
    [...held.values()].map(({ certificate }) => certificate.cert + certificate.key).join();
  return text(a) === text(b);
}
