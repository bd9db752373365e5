import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { sleep } from '#platform';
import type { PostgresBinaries } from './binaries.js';
import { type Cluster, openCluster, SUPERUSER } from './cluster.js';
import { guardServer } from './guard.js';

export interface PostgresOptions {
  /** holds the data and the password; made when it is not there */
  dir: string;
  /** on 127.0.0.1; 0 for a free one */
  port: number;
  /** file that the server's messages are added to */
  log: string;
  /** made when it is not there */
  database: string;
  /** names and values as in postgresql.conf */
  settings?: Record<string, string>;
  /** default: those that npm brought */
  binaries?: PostgresBinaries;
  /** ends a start that is no longer wanted */
  signal?: AbortSignal;
}

export interface Postgres {
  /** of the database, as a superuser; holds the password */
  url: string;
  pid: number;
  /** how the server ended, for people: `exit code 0`, `SIGKILL` */
  exited: Promise<string>;
  /** Disconnects its clients, writes what it has, and ends. The data stays. */
  stop: () => Promise<void>;
  /** Ends without any of that. The next start repairs it, which takes longer. */
  kill: () => Promise<void>;
}

interface Server {
  child: ChildProcess;
  exited: Promise<string>;
}

/** Recovery after a crash repeats what was written since the last checkpoint: five minutes' worth at most. */
const START_WITHIN_MS = 120_000;
const POLL_MS = 10;
/** Somebody else may take a free port between the moment it is found and the moment the server asks for it. */
const PORT_ATTEMPTS = 3;

/**
 * Starts PostgreSQL and waits until it answers. It listens on 127.0.0.1 only, has no Unix socket, and asks for a
 * password. It is in a process group of its own: a Ctrl-C at the terminal must not take it away from those who still
 * write to it. So whoever starts it has to stop it. A guard does when this process is killed; and where that fails,
 * too, the next start stops what was left behind.
 *
 * @throws Error with the end of its log
 */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const cluster = await openCluster(options.dir, options.binaries);
  for (let attempt = 1; ; attempt++) {
    const port = options.port === 0 ? await freePort() : options.port;
    const server = run(cluster, port, options);
    if (await isReady(cluster, server.child, options.signal)) return connected(cluster, server, port, options.database);
    await stop(server);
    options.signal?.throwIfAborted();
    const log = readFileSync(options.log, 'utf8').trimEnd().split('\n').slice(-8).join('\n');
    if (options.port === 0 && attempt < PORT_ATTEMPTS && log.includes('could not bind')) continue;
    throw new Error(`PostgreSQL did not start (${await server.exited}); the end of ${options.log}:\n${log}`);
  }
}

function run(cluster: Cluster, port: number, options: PostgresOptions): Server {
  const settings = {
    listen_addresses: '127.0.0.1',
    port: `${port}`,
    unix_socket_directories: '',
    cluster_name: cluster.name,
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...options.settings,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const {
    file,
    args,
    options: as,
  } = cluster.account.command(cluster.binaries.postgres, ['-D', cluster.data, ...flags]);
  const log = openSync(options.log, 'a', 0o600);
  // a file and not a pipe: the server may outlive this process, and must then not write to nobody
  const child = spawn(file, args, { ...as, cwd: '/', detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  const dismiss = child.pid === undefined ? () => {} : guardServer(child.pid);
  child.once('exit', dismiss);
  const exited = once(child, 'exit').then(
    ([code, signal]) => (signal as string | null) ?? `exit code ${code}`,
    (error: unknown) => (error as Error).message,
  );
  return { child, exited };
}

/** False when it has ended, or takes too long. */
async function isReady({ data }: Cluster, child: ChildProcess, signal?: AbortSignal): Promise<boolean> {
  const deadline = Date.now() + START_WITHIN_MS;
  while (isRunning(child) && !signal?.aborted && Date.now() < deadline) {
    // what pg_ctl looks at, too; connecting would fill the log with refusals
    if (READY.has(statusIn(join(data, 'postmaster.pid')) ?? '')) return true;
    await sleep(POLL_MS);
  }
  return false;
}

/** A standby takes connections as well, to be read from. */
const READY = new Set(['ready', 'standby']);

/** The eighth line of the server's file. It had been removed before the start, so this is our server's. */
function statusIn(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').split('\n')[7]?.trim();
  } catch {
    return undefined; // not written yet
  }
}

async function connected(cluster: Cluster, server: Server, port: number, database: string): Promise<Postgres> {
  const urlOf = (name: string) => `postgres://${SUPERUSER}:${cluster.password}@127.0.0.1:${port}/${name}`;
  const client = new pg.Client({ connectionString: urlOf('postgres'), connectionTimeoutMillis: 10_000 });
  client.on('error', () => {}); // a connection that breaks fails the query that waits for it, below
  try {
    await client.connect();
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [database]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)}`);
  } catch (error) {
    await stop(server);
    throw new Error(`PostgreSQL started but cannot be used: ${(error as Error).message}`, { cause: error });
  } finally {
    await client.end();
  }
  return {
    url: urlOf(database),
    pid: server.child.pid as number,
    exited: server.exited,
    stop: () => stop(server),
    kill: () => end(server, AT_ONCE),
  };
}

const AT_ONCE = [
  { signal: 'SIGQUIT', withinMs: 1_000 },
  { signal: 'SIGKILL', withinMs: 1_000 },
] as const;

/** Fast shutdown; a server that does not manage is cut off, and repairs itself at the next start. */
function stop(server: Server): Promise<void> {
  return end(server, [{ signal: 'SIGINT', withinMs: 5_000 }, ...AT_ONCE]);
}

async function end(
  { child, exited }: Server,
  steps: readonly { signal: NodeJS.Signals; withinMs: number }[],
): Promise<void> {
  for (const { signal, withinMs } of steps) {
    if (!isRunning(child)) return;
    child.kill(signal);
    const timeout = new AbortController();
    await Promise.race([exited, sleep(withinMs, timeout.signal)]);
    timeout.abort();
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}
