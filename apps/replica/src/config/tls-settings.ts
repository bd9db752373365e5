import { z } from 'zod';
import { type FieldFault, portSetting } from '#platform';
import { readCertificate } from '../gateway/tls/certificate.js';
import { certificateFiles } from '../gateway/tls/certificate-files.js';

const GATEWAY_TLS_PORT = 9443;

/** Ports in TLS, as they are given. */
export const tlsSettings = {
  GATEWAY_TLS_PORT: portSetting.optional(),
  HELIO_TLS_CERTIFICATES: z.string().optional(),
  HELIO_ADMIN_CERTIFICATES: z.string().optional(),
};
type TlsSettings = Readonly<z.infer<z.ZodObject<typeof tlsSettings>>>;

/** What `HELIO_TLS_CERTIFICATES` makes: a port in TLS beside the plain one. */
export interface TlsPortConfig {
  port: number;
  /** the setting; its files are read again and again */
  certificates: string;
}

export function tlsPortOf({
  GATEWAY_TLS_PORT: port,
  HELIO_TLS_CERTIFICATES: certificates,
}: TlsSettings): TlsPortConfig | null {
  return certificates === undefined ? null : { port: port ?? GATEWAY_TLS_PORT, certificates };
}

/** Certificates are there and good at the start; later ones that are not change nothing. */
export function tlsFaults(given: Partial<TlsSettings>): FieldFault[] {
  const faults = [...filesFault('HELIO_TLS_CERTIFICATES', given), ...filesFault('HELIO_ADMIN_CERTIFICATES', given)];
  if (given.GATEWAY_TLS_PORT === undefined || given.HELIO_TLS_CERTIFICATES !== undefined) return faults;
  const expected = 'a directory with <name>.crt and <name>.key, or cert.pem:key.pem';
  return [...faults, { field: 'HELIO_TLS_CERTIFICATES', problem: 'must be given with GATEWAY_TLS_PORT', expected }];
}

function filesFault(
  field: 'HELIO_TLS_CERTIFICATES' | 'HELIO_ADMIN_CERTIFICATES',
  given: Partial<TlsSettings>,
): FieldFault[] {
  const setting = given[field];
  if (setting === undefined) return [];
  try {
    for (const files of certificateFiles(setting)) readCertificate(files);
    return [];
  } catch (error) {
    return [{ field, problem: (error as Error).message }];
  }
}
