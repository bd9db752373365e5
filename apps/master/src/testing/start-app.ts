import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Type } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import { newSigningKeyPem } from '#artifacts';
import { newToken } from '#model';
import { freshDatabase } from '#harness';
import type { DataSource } from 'typeorm';
import { createApp, listen } from '../app.js';
import { type MasterConfig, masterConfig } from '../config/config.js';

export interface CallAnswer {
  status: number;
  headers: Headers;
  // tests read fields of many shapes
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any;
}

export interface StartedApp {
  url: string;
  /** an access token with the role admin */
  admin: string;
  /** the directory of the artifact store */
  storeDirectory: string;
  /** what a second master on the same database and store is started with */
  config: MasterConfig;
  source: DataSource;
  /** a part of the application that no request reaches, such as what runs by a timer */
  part<T>(type: Type<T>): T;
  /** one request with the admin's token; a body that is no string or Buffer is sent as JSON */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<CallAnswer>;
  stop(): Promise<void>;
}

/** The real master on a free port, a database of its own, and a directory as the store. @param more settings beside these */
export async function startApp(more: Record<string, string> = {}): Promise<StartedApp> {
  const database = await freshDatabase();
  const directory = mkdtempSync(join(tmpdir(), 'helio-master-'));
  const keyFile = join(directory, 'signing.pem');
  writeFileSync(keyFile, newSigningKeyPem(), { mode: 0o600 });
  const admin = newToken('test');
  const storeDirectory = join(directory, 'store');
  const config = masterConfig({
    DATABASE_URL: database.url,
    ARTIFACT_STORE: `file://${storeDirectory}`,
    HELIO_SIGNING_KEY: keyFile,
    HELIO_BOOTSTRAP_ADMIN_TOKEN: admin,
    HELIO_BIND: '127.0.0.1',
    PORT: '0',
    HELIO_LOG_LEVEL: 'silent',
    ...more,
  });
  return start(config, admin, storeDirectory, async () => {
    await database.drop();
    rmSync(directory, { recursive: true, maxRetries: 10, force: true });
  });
}

/** Another master on the database and the store of `first`, to be stopped before it. */
export function startBeside({ config, admin, storeDirectory }: StartedApp): Promise<StartedApp> {
  // processes are told apart by their id; these two are in one
  return start({ ...config, instance: `${config.instance}-2` }, admin, storeDirectory, () => Promise.resolve());
}

/** A master on another database and store, with the keys and tokens of `first`. */
export function startElsewhere(
  { config, admin }: StartedApp,
  url: string,
  storeDirectory: string,
): Promise<StartedApp> {
  const elsewhere = { ...config, DATABASE_URL: url, ARTIFACT_STORE: `file://${storeDirectory}`, instance: 'elsewhere' };
  return start(elsewhere, admin, storeDirectory, () => Promise.resolve());
}

async function start(
  config: MasterConfig,
  admin: string,
  storeDirectory: string,
  clean: () => Promise<void>,
): Promise<StartedApp> {
  const app = await createApp(config);
  const url = `http://127.0.0.1:${await listen(app, config)}`;
  return {
    url,
    admin,
    storeDirectory,
    config,
    source: app.get<DataSource>(getDataSourceToken()),
    part: (type) => app.get(type, { strict: false }),
    call: (method, path, body, headers = {}) => call(url, admin, method, path, body, headers),
    async stop() {
      await app.close();
      await clean();
    },
  };
}

async function call(
  url: string,
  token: string,
  method: string,
  path: string,
  body: unknown,
  headers: Record<string, string>,
): Promise<CallAnswer> {
  const raw = typeof body === 'string' || body instanceof Uint8Array;
  const response = await fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    body: body === undefined ? undefined : raw ? (body as string) : JSON.stringify(body),
  });
  const text = await response.text();
  const json =
    /json/.test(response.headers.get('content-type') ?? '') &&
    !/ndjson/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, body: json && text !== '' ? JSON.parse(text) : text };
}
