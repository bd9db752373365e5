import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type Logger, pino } from 'pino';
import pg from 'pg';
import { type ArtifactStore, newSigningKeyPem, type Signer, signerFromPem } from '#artifacts';
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

/** The publishing half of a master, on a database and a store. */
export async function startPublishing(url: string, store: ArtifactStore, more: Partial<PublishingOptions> = {}): Promise<PublishingMaster> {
  const wire = await cuttable(url);
  const pool = new pg.Pool({ connectionString: wire.url, max: 4 });
  pool.on('error', () => undefined); // connections that are cut while idle
  const complaints: PublishingMaster['complaints'] = [];
  const log = collectingLog(complaints);
  const publications = new Publications(log);
  const query: PublishingOptions['query'] = (sql, parameters) => pool.query(sql, parameters).then(({ rows }) => rows);
  const switched = switchable(store);
  const options = { databaseUrl: wire.url, query, store: switched.store, signer, instance: 'test', log, ...more };
  const publishers = new Publishers(options, publications);
  const published: Published[] = [];
  publications.subscribe((one) => published.push(one));
  publishers.start();
  const stop = async (): Promise<void> => {
    await publishers.stop();
    await pool.end();
    await wire.cut();
  };
  return {
    publishers,
    publications,
    options,
    published,
    complaints,
    leads: (environment) => until(() => publishers.standing(environment)?.leader, { what: `the master to lead ${environment}` }).then(() => undefined),
    crash: async () => {
      switched.cut();
      await wire.cut();
      await stop();
    },
    stop,
  };
}

function collectingLog(lines: PublishingMaster['complaints']): Logger {
  return pino({ level: 'warn' }, { write: (line: string) => lines.push(JSON.parse(line) as PublishingMaster['complaints'][number]) });
}

/** The database behind a wire of its own that can be cut. */
async function cuttable(url: string): Promise<{ url: string; cut(): Promise<void> }> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one.setNoDelay());
      one.on('error', () => undefined).on('close', () => {
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

/** A store that can be made to answer nothing any more: calls end by their signal only. */
function switchable(store: ArtifactStore): { store: ArtifactStore; cut(): void } {
  let cut = false;
  const never = (signal?: AbortSignal): Promise<never> =>
    new Promise((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
  const through = <T>(signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T> => (cut ? never(signal) : call());
  return {
    cut: () => {
      cut = true;
    },
    store: {
      description: store.description,
      get: (name, limit, signal) => through(signal, () => store.get(name, limit, signal)),
      getIfChanged: (name, etag, limit, signal) => through(signal, () => store.getIfChanged(name, etag, limit, signal)),
      create: (name, bytes, signal) => through(signal, () => store.create(name, bytes, signal)),
      replace: (name, bytes, expected, signal) => through(signal, () => store.replace(name, bytes, expected, signal)),
      delete: (name, signal) => through(signal, () => store.delete(name, signal)),
      probe: (signal) => through(signal, () => store.probe(signal)),
      close: () => store.close(),
    },
  };
}
