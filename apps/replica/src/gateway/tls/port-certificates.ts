import type { Logger } from '#platform';
import { type CertificateStatus, CertificateWatch } from './certificate-watch.js';

/** A certificate, and the port that shows it. */
export interface PortCertificate extends CertificateStatus {
  port: 'gateway' | 'admin';
}

/** The certificates of both ports; null for one that is in plain HTTP only. */
export class PortCertificates {
  readonly gateway: CertificateWatch | null;
  readonly admin: CertificateWatch | null;

  /** @param gateway, admin settings @throws Error that names the file and what is wrong with it */
  constructor(gateway: string | null, admin: string | null, log: Logger) {
    this.gateway = gateway === null ? null : new CertificateWatch(gateway, log);
    this.admin = admin === null ? null : new CertificateWatch(admin, log);
    for (const watch of [this.gateway, this.admin]) watch?.start();
  }

  get status(): PortCertificate[] {
    const of = (port: PortCertificate['port'], watch: CertificateWatch | null): PortCertificate[] =>
      watch?.status.map((status) => ({ port, ...status })) ?? [];
    return [...of('gateway', this.gateway), ...of('admin', this.admin)];
  }

  stop(): void {
    this.gateway?.stop();
    this.admin?.stop();
  }
}
