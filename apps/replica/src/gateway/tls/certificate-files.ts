import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { CertificateFiles } from './certificate.js';

/**
 * The files that a setting names: entries with commas between them, each a directory with `<name>.crt` and `<name>.key`, or
 * `certificate.pem:key.pem`.
 *
 * @param known certificates of before: of these one of the two files is enough in a directory, as the other may be about
 * to come back
 * @returns in their order, those of a directory by name
 * @throws Error that names the entry and what is wrong with it
 */
export function certificateFiles(setting: string, known: ReadonlySet<string> = new Set()): CertificateFiles[] {
  const entries = setting.split(',').map((entry) => entry.trim());
  return entries.flatMap((entry) => {
    const [cert = '', key, ...more] = entry.split(':');
    if (cert === '' || key === '' || more.length > 0)
      throw new Error(`"${entry}" is neither a directory nor a pair of files like cert.pem:key.pem`);
    return key === undefined ? pairsIn(cert, known) : [{ cert, key }];
  });
}

/** A certificate without a key is somebody else's, like the `ca.crt` of a Kubernetes secret. */
function pairsIn(directory: string, known: ReadonlySet<string>): CertificateFiles[] {
  const names = new Set(namesIn(directory));
  const bases = new Set([...names].filter((name) => /.\.(?:crt|key)$/.test(name)).map((name) => name.slice(0, -4)));
  const pairs = [...bases].toSorted().map((base) => ({
    cert: join(directory, `${base}.crt`),
    key: join(directory, `${base}.key`),
    whole: names.has(`${base}.crt`) && names.has(`${base}.key`),
  }));
  const usable = pairs.filter(({ cert, whole }) => whole || known.has(cert));
  if (usable.length === 0) throw new Error(`there is no pair of files <name>.crt and <name>.key in ${directory}`);
  return usable.map(({ cert, key }) => ({ cert, key }));
}

function namesIn(directory: string): string[] {
  try {
    if (statSync(directory).isDirectory()) return readdirSync(directory);
  } catch (error) {
    throw new Error(`${directory} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  throw new Error(`${directory} is no directory; a certificate and its key are given as cert.pem:key.pem`);
}
