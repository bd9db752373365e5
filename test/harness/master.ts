import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newSigningKeyPem } from '#artifacts';
import { newToken } from '#model';
import { type AppProcess, startApp } from './app-process.js';
import { Client } from './client.js';
import { freePorts } from './free-ports.js';

export interface MasterOptions {
  /** URL of its database: see `freshDatabase` */
  database: string;
  /** `file:///...` or `s3://...`; for the latter the `S3_*` variables go into `env` */
  store: string;
  /** default: a free one */
  port?: number;
  /** path of a PEM file; default: a new key */
  signingKey?: string;
  /** default: a new one */
  adminToken?: string;
  /** more variables of the master */
  env?: Record<string, string>;
}

export interface Master extends AppProcess {
  url: string;
  adminToken: string;
  /** with the role admin */
  client: Client;
  /** Starts another process in place of one that has gone: same database, store, port, key and token; `env` on top of its variables. */
  again: (env?: Record<string, string>) => Promise<Master>;
  /** Starts another instance on another port: same database, store, key and token. */
  beside: (port: number) => Promise<Master>;
}

/** The real master in its own process; resolves when its `/readyz` says so. */
export async function startMaster(options: MasterOptions): Promise<Master> {
  const { database, store, env } = options;
  const port = options.port ?? (await freePorts(1))[0];
  const signingKey = options.signingKey ?? newSigningKeyFile();
  const adminToken = options.adminToken ?? newToken('test');
  const url = `http://127.0.0.1:${port}`;
  const app = await startApp({
    app: 'master',
    env: {
      DATABASE_URL: database,
      ARTIFACT_STORE: store,
      HELIO_SIGNING_KEY: signingKey,
      HELIO_BOOTSTRAP_ADMIN_TOKEN: adminToken,
      HELIO_BIND: '127.0.0.1',
      PORT: `${port}`,
      ...env,
    },
    ready: async () => (await fetch(`${url}/readyz`)).ok,
  });
  const again = (more?: Record<string, string>) =>
    startMaster({ ...options, port, signingKey, adminToken, env: { ...env, ...more } });
  const beside = (other: number) => startMaster({ ...options, port: other, signingKey, adminToken });
  return { ...app, url, adminToken, client: new Client(url, adminToken), again, beside };
}

function newSigningKeyFile(): string {
  const dir = mkdtempSync(join(tmpdir(), 'heliograph-key-'));
  const path = join(dir, 'signing-key.pem');
  writeFileSync(path, newSigningKeyPem(), { mode: 0o600 });
  return path;
}
