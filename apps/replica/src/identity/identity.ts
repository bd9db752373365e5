import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { environmentId, regionId, replicaId } from '#model';
import { ConfigError } from '#platform';

const joined = z.strictObject({
  /** what it reports with */
  token: z.string().min(1),
  /** Ed25519, 32 bytes each in base64 */
  trustedKeys: z.array(z.string()),
  /** the artifact store; its credentials are configuration, and never here */
  store: z.string(),
});
const identity = z.strictObject({
  version: z.literal(1),
  environment: environmentId,
  region: regionId,
  replica: replicaId,
  /** what the master answered; null for a replica that lives from the store alone */
  joined: joined.nullable(),
});

/** Who this replica is, kept in its state directory. */
export type Identity = z.infer<typeof identity>;

const FILE = 'identity.json';

/** @throws ConfigError for a file that cannot be read, or is none of ours */
export function readIdentity(directory: string): Identity | null {
  const path = join(directory, FILE);
  try {
    return identity.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    if (code === 'ENOTDIR') {
      const problem = `${directory} cannot be a directory: it, or a part of its path, is a file`;
      throw new ConfigError([{ field: 'HELIO_STATE_DIR', problem, expected: 'name a directory on a local disk' }]);
    }
    const why = syscall ? (error as Error).message : 'it is not an identity that this build reads';
    const expected = 'let the replica join again by removing it';
    throw new ConfigError([{ field: 'HELIO_STATE_DIR', problem: `${path} cannot be used: ${why}`, expected }]);
  }
}

/** Durable when it returns, and never half written: the token in it is shown once. */
export function writeIdentity(directory: string, content: Identity): void {
  const path = join(directory, FILE);
  const staged = `${path}.new`;
  const file = openSync(staged, 'w', 0o600);
  try {
    writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(staged, path);
  const folder = openSync(directory, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
