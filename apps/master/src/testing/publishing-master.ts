import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type Logger, pino } from 'pino';
import pg from 'pg';
import { type ArtifactStore, newSigningKeyPem, type Signer, signerFromPem, StoreError } from '#artifacts';
import { until } from '#harness';
import type { PublishingOptions } from '../publishing/options.js';
import { Publications, type Published } from '../publishing/publications.js';
import { Publishers } from '../publishing/publishers.js';

export const signer: Signer = signerFromPem(newSigningKeyPem());

export interface PublishingMaster {
  publishers: Publishers;
  publications: Publications;
  options: PublishingOptions;
  /** what it announced */
  published: Published[];
  /** lines of its log from warnings on */
  complaints: { msg: string; [field: string]: unknown }[];
  /** resolves when it leads the environment */
  leads(environment: string): Promise<void>;
  /** as kill -9 does: no goodbye, neither to PostgreSQL nor to the store */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

/** Connections to a database that may be dropped, or cut off, while they are idle. */
export function openPool(url: string): pg.Pool {
  return new pg.Pool({ connectionString: url, max: 20 }).on('error', () => undefined);
}

/** The publishing half of a master, on a database and a store. */
export async function startPublishing(
  url: string,
  store: ArtifactStore,
  more: Partial<PublishingOptions> = {},
): Promise<PublishingMaster> {
  const wire = await cuttable(url);
  const pool = openPool(wire.url);
  const complaints: PublishingMaster['complaints'] = [];
  const log = collectingLog(complaints);
  const publications = new Publications(log);
  const query: PublishingOptions['query'] = (sql, parameters) => pool.query(sql, parameters).then(({ rows }) => rows);
  let cut = false;
  const connected = interposed(store, (_, run, signal) => (cut ? noAnswer(signal) : run()));
  const options = { databaseUrl: wire.url, query, store: connected, signer, instance: 'test', log, ...more };
  const publishers = new Publishers(options, publications);
  const published: Published[] = [];
  publications.subscribe((one) => published.push(one));
  publishers.start();
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= publishers
      .stop()
      .then(() => pool.end())
      .then(() => wire.cut());
    return stopped;
  };
  return {
    publishers,
    publications,
    options,
    published,
    complaints,
    leads: (environment) =>
      until(() => publishers.standing(environment)?.leader, { what: `the master to lead ${environment}` }).then(
        () => undefined,
      ),
    crash: async () => {
      cut = true;
      await wire.cut();
      await until(() => !publishers.standing('prod')?.leader, { what: 'the connections to break' });
      await stop();
    },
    stop,
  };
}

function collectingLog(lines: PublishingMaster['complaints']): Logger {
  return pino(
    { level: 'warn' },
    { write: (line: string) => lines.push(JSON.parse(line) as PublishingMaster['complaints'][number]) },
  );
}

/** The database behind a wire of its own that can be cut. */
export async function cuttable(url: string): Promise<{ url: string; cut(): Promise<void> }> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one.setNoDelay());
      one
        .on('error', () => undefined)
        .on('close', () => {
          other.destroy();
          sockets.delete(one);
        });
      one.pipe(other);
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const wired = new URL(url);
  wired.port = String((server.address() as AddressInfo).port);
  return {
    url: wired.href,
    cut: async () => {
      const closed = server.listening ? once(server, 'close') : Promise.resolve();
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Stands between a store and its user: runs the call, or something else. */
export type Around = <T>(
  call: Exclude<keyof ArtifactStore, 'description'>,
  run: () => Promise<T>,
  signal: AbortSignal | undefined,
) => Promise<T>;

export function interposed(store: ArtifactStore, around: Around): ArtifactStore {
  return {
    description: store.description,
    get: (name, limit, signal) => around('get', () => store.get(name, limit, signal), signal),
    getIfChanged: (name, etag, limit, signal) =>
      around('getIfChanged', () => store.getIfChanged(name, etag, limit, signal), signal),
    size: (name, signal) => around('size', () => store.size(name, signal), signal),
    create: (name, bytes, signal) => around('create', () => store.create(name, bytes, signal), signal),
    replace: (name, bytes, expected, signal) =>
      around('replace', () => store.replace(name, bytes, expected, signal), signal),
    delete: (name, signal) => around('delete', () => store.delete(name, signal), signal),
    list: (folder, after, limit, signal) => around('list', () => store.list(folder, after, limit, signal), signal),
    probe: (signal) => around('probe', () => store.probe(signal), signal),
    close: () => store.close(),
  };
}

/** A store that is away as long as `isAway` says so. */
export function unreachable(store: ArtifactStore, isAway: () => boolean = () => true): ArtifactStore {
  const error = new StoreError('store_unreachable', 'the store is away');
  return interposed(store, (_, run) => (isAway() ? Promise.reject(error) : run()));
}

/** The answer of a store that does not answer: it ends with the signal only, at once if that has fired already. */
export function noAnswer(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    if (signal?.aborted) reject(signal.reason as Error);
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
