import { randomBytes } from 'node:crypto';
import { accessSync, constants, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Client } from 'minio';
import { type Daemon, startDaemon } from './daemon.js';

/** What a suite may need beyond Node: see `describeWith`. */
export type Need =
  | 'redis'
  | 'minio'
  | 'versitygw'
  | 'nginx'
  /** PostgreSQL's own programs in one folder, pg_dump among them; a server is always there */
  | 'postgres'
  | 'prometheus'
  | 'zsh'
  | 'fish'
  | 'helm'
  | 'kubernetes-validate'
  | 'prometheus-operator-python'
  | 'systemd-analyze';

export interface S3Address {
  /** `http://host:port`, or whatever `S3_ENDPOINT` says. */
  endpoint: string;
  accessKey: string;
  secretKey: string;
  region: string;
}

export interface S3Service extends S3Address, Stoppable {}

export interface RedisService extends Stoppable {
  /** `redis://:password@host:port`, or whatever `REDIS_URL` says. */
  url: string;
}

interface Stoppable {
  /** Of the process that was started; undefined when the service is somebody else's (`S3_ENDPOINT`, `REDIS_URL`). */
  pid: number | undefined;
  /** Ends the process and removes its data. Leaves a service alone that was not started here. */
  stop: () => Promise<void>;
  /** SIGKILL, data stays: the service is gone from one moment to the next. Throws where it was not started here. */
  kill: () => Promise<void>;
}

const BINARIES: Record<Need, string> = {
  redis: 'redis-server',
  minio: 'minio',
  versitygw: 'versitygw',
  nginx: 'nginx',
  postgres: 'postgres',
  prometheus: 'prometheus',
  zsh: 'zsh',
  fish: 'fish',
  helm: 'helm',
  'kubernetes-validate': 'kubernetes-validate',
  'prometheus-operator-python': 'prometheus-operator-python',
  'systemd-analyze': 'systemd-analyze',
};
const VARIABLES: Partial<Record<Need, string>> = { redis: 'REDIS_URL', minio: 'S3_ENDPOINT' };
const REGION = 'us-east-1';
const DEBIAN_POSTGRES = '/usr/lib/postgresql';

/** Undefined when `need` can be had here, else a sentence for the person who reads the test run. */
export function whyMissing(need: Need): string | undefined {
  if (external(need) !== undefined || findBinary(BINARIES[need]) !== undefined) return undefined;
  const variable = VARIABLES[need];
  return `${variable === undefined ? '' : `${variable} is not set, `}${BINARIES[need]} is neither on PATH nor in ${cacheDir()} (scripts/services gets it)`;
}

/** MinIO with an empty temporary directory, or the server at `S3_ENDPOINT`. */
export async function startMinio(): Promise<S3Service> {
  const endpoint = external('minio');
  if (endpoint !== undefined) {
    const service = { endpoint, ...externalCredentials(), ...notOurs(endpoint) };
    await s3Client(service).listBuckets();
    return service;
  }
  return startS3('minio', (port, dir, credentials) => ({
    args: ['server', '--quiet', '--address', `127.0.0.1:${port}`, dir],
    env: { MINIO_ROOT_USER: credentials.accessKey, MINIO_ROOT_PASSWORD: credentials.secretKey, MINIO_BROWSER: 'off' },
  }));
}

/** versitygw on an empty temporary directory: the second S3 server, so that nothing rests on what only MinIO does. */
export function startVersityGw(): Promise<S3Service> {
  return startS3('versitygw', (port, dir, credentials) => ({
    // Not `--sidecar`: with tags in files of their own a read can give the old bytes and the new tag. The directory
    // needs extended attributes instead, which ext4, xfs, and from Linux 6.6 on tmpfs have.
    args: ['--quiet', '--port', `127.0.0.1:${port}`, 'posix', dir],
    env: { ROOT_ACCESS_KEY: credentials.accessKey, ROOT_SECRET_KEY: credentials.secretKey, VGW_REGION: REGION },
  }));
}

/** An empty Redis that keeps nothing on disk, or the one at `REDIS_URL`. */
export async function startRedis(): Promise<RedisService> {
  const url = external('redis');
  if (url !== undefined) {
    await ping(url);
    return { url, ...notOurs(url) };
  }
  const password = randomBytes(12).toString('hex');
  const urlOn = (port: number) => `redis://:${password}@127.0.0.1:${port}`;
  const daemon = await startDaemon({
    binary: requireBinary('redis'),
    command: (port, dir) => ({
      args: ['--bind', '127.0.0.1', '--port', `${port}`, '--requirepass', password, '--dir', dir, '--save', ''],
      env: {},
    }),
    answers: (port) => ping(urlOn(port)),
  });
  return { url: urlOn(daemon.port), ...stoppable(daemon) };
}

/** A sentinel that knows a Redis of ours as `main`. @returns `redis+sentinel://` for it */
export async function startSentinel(redis: RedisService): Promise<RedisService> {
  const { hostname, port: redisPort, password } = new URL(redis.url);
  const daemon = await startDaemon({
    binary: requireBinary('redis'),
    command: (port, dir) => {
      const file = join(dir, 'sentinel.conf');
      const lines = [`port ${port}`, `dir ${dir}`, `sentinel monitor main ${hostname} ${redisPort} 1`];
      writeFileSync(file, [...lines, `sentinel auth-pass main ${password}`, ''].join('\n'));
      return { args: [file, '--sentinel'], env: {} };
    },
    answers: (port) => ping(`redis://127.0.0.1:${port}`),
  });
  return { url: `redis+sentinel://:${password}@127.0.0.1:${daemon.port}/main`, ...stoppable(daemon) };
}

/** A cluster of one server, which has all slots. @returns `redis+cluster://` for it */
export async function startCluster(): Promise<RedisService> {
  const daemon = await startDaemon({
    binary: requireBinary('redis'),
    command: (port, dir) => ({
      args: [
        '--bind',
        '127.0.0.1',
        '--port',
        `${port}`,
        '--dir',
        dir,
        '--save',
        '',
        '--cluster-enabled',
        'yes',
        '--cluster-announce-ip',
        '127.0.0.1',
      ],
      env: {},
    }),
    answers: (port) => ping(`redis://127.0.0.1:${port}`),
  });
  await say(daemon.port, 'CLUSTER ADDSLOTSRANGE 0 16383');
  return { url: `redis+cluster://127.0.0.1:${daemon.port}`, ...stoppable(daemon) };
}

function say(port: number, command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`${command}\r\n`));
    socket.once('data', (reply) => {
      socket.destroy();
      if (reply[0] === 0x2b) resolve();
      else reject(new Error(`redis answers ${reply.toString().trim()} to ${command}`));
    });
    socket.on('error', reject);
  });
}

type Credentials = Omit<S3Address, 'endpoint'>;

async function startS3(
  need: 'minio' | 'versitygw',
  command: (port: number, dir: string, credentials: Credentials) => { args: string[]; env: NodeJS.ProcessEnv },
): Promise<S3Service> {
  // Credentials of its own also tell this server from another one that took the port in between.
  const credentials = {
    accessKey: randomBytes(8).toString('hex'),
    secretKey: randomBytes(16).toString('hex'),
    region: REGION,
  };
  const endpointOn = (port: number) => `http://127.0.0.1:${port}`;
  const daemon = await startDaemon({
    binary: requireBinary(need),
    command: (port, dir) => command(port, dir, credentials),
    answers: async (port) => {
      await s3Client({ endpoint: endpointOn(port), ...credentials }).listBuckets();
    },
  });
  return { endpoint: endpointOn(daemon.port), ...credentials, ...stoppable(daemon) };
}

/** A client of the `minio` package for what `startMinio` or `startVersityGw` returned. */
export function s3Client({ endpoint, accessKey, secretKey, region }: S3Address): Client {
  const { protocol, hostname, port } = new URL(endpoint);
  const useSSL = protocol === 'https:';
  const defaultPort = useSSL ? 443 : 80;
  return new Client({ endPoint: hostname, port: Number(port || defaultPort), useSSL, accessKey, secretKey, region });
}

/** Rejects unless a Redis that takes the URL's password answers PONG within two seconds. */
function ping(url: string): Promise<void> {
  const { hostname, port, username, password } = new URL(url);
  const login =
    password === '' ? '' : `AUTH ${[username, password].filter(Boolean).map(decodeURIComponent).join(' ')}\r\n`;
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port || 6379), hostname, () => socket.write(`${login}PING\r\n`));
    let reply = '';
    const refuse = (why: string) => socket.destroy(new Error(`redis at ${hostname}:${port || 6379} ${why}`));
    socket.setTimeout(2_000, () => refuse('does not answer'));
    socket.on('data', (chunk) => {
      reply += chunk.toString();
      if (reply.includes('+PONG')) resolve(void socket.destroy());
      else if (/^-/m.test(reply)) refuse(`answers ${reply.trim()}`);
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`redis at ${hostname}:${port || 6379} closed the connection`)));
  });
}

function external(need: Need): string | undefined {
  const variable = VARIABLES[need];
  return (variable === undefined ? undefined : process.env[variable]) || undefined;
}

function externalCredentials(): Credentials {
  const { S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey, S3_REGION: region = REGION } = process.env;
  if (!accessKey || !secretKey) throw new Error('S3_ENDPOINT is set: S3_ACCESS_KEY and S3_SECRET_KEY must be set too');
  return { accessKey, secretKey, region };
}

function notOurs(address: string): Stoppable {
  return {
    pid: undefined,
    stop: () => Promise.resolve(),
    kill: () => Promise.reject(new Error(`${address} was not started by this test, so it cannot be killed by it`)),
  };
}

function stoppable({ pid, stop, kill }: Daemon): Stoppable {
  return { pid, stop, kill };
}

export function requireBinary(need: Need): string {
  const path = findBinary(BINARIES[need]);
  if (path === undefined) throw new Error(`cannot start ${need}: ${whyMissing(need)}`);
  return path;
}

function findBinary(name: string): string | undefined {
  // Debian puts servers where only root's PATH looks.
  const onPath = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  const folders = [...onPath, '/usr/sbin', ...debianPostgres(), cacheDir()];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** Where Debian has a version of PostgreSQL each, the newest first. */
function debianPostgres(): string[] {
  const versions = existsSync(DEBIAN_POSTGRES) ? readdirSync(DEBIAN_POSTGRES) : [];
  return versions.toSorted((one, other) => Number(other) - Number(one)).map((one) => join(DEBIAN_POSTGRES, one, 'bin'));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Where `scripts/services` puts what it builds. */
function cacheDir(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'heliograph', 'bin');
}
