import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePorts, makeCertificate, type Nginx, startNginx } from '#harness';

export const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url));

export interface ShippedNginx extends Nginx {
  /** of what the file serves */
  url: string;
  /** of the authority that it is trusted by, in PEM */
  certificate: string;
}

interface Shipped {
  file: 'masters.conf' | 'gateways.conf';
  /** in place of those that the file names, in their order; as many as there */
  ports: readonly [number, number];
  /** default: plain HTTP on the port that is TLS in the file */
  tls?: boolean;
}

/** An nginx with a file of deploy/nginx as it is, but for addresses and the certificate. */
export async function startShipped({ file, ports, tls = false }: Shipped): Promise<ShippedNginx> {
  const [port = 0] = await freePorts(1);
  const directory = mkdtempSync(join(tmpdir(), 'heliograph-tls-'));
  const { cert, key } = makeCertificate({ names: ['localhost'] });
  writeFileSync(join(directory, 'tls.crt'), cert);
  writeFileSync(join(directory, 'tls.key'), key, { mode: 0o600 });
  let servers = 0;
  const http = readFileSync(join(DEPLOY, 'nginx', file), 'utf8')
    .replace('listen 443 ssl;', `listen 127.0.0.1:${port}${tls ? ' ssl' : ''};`)
    .replaceAll(/\/etc\/nginx\/tls\/\w+\.(crt|key)/g, (_, kind: string) => join(directory, `tls.${kind}`))
    .replaceAll(/(?<=\bserver )[\w.-]+:\d+/g, () => `127.0.0.1:${ports[servers++]}`);
  if (servers !== ports.length) throw new Error(`${file} names ${servers} servers`);
  const nginx = await startNginx({ http, server: '' });
  return { ...nginx, url: `${tls ? 'https' : 'http'}://localhost:${port}`, certificate: cert };
}
