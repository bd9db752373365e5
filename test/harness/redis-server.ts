import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { type Daemon, startDaemon } from './daemon.js';
import { requireBinary } from './services.js';
import { until } from './until.js';

/**
 * A Redis of a test's own, never the one at `REDIS_URL`: it is killed, and comes back at the same port. It has no password,
 * and writes to its disk only what it is told to (`SAVE`).
 */
export class RedisServer {
  /** the first one keeps the directory of all */
  private constructor(
    private readonly first: Daemon,
    private readonly args: string[],
    private now = first,
  ) {}

  /** @param args of redis-server, beside address and directory */
  static async start(...args: string[]): Promise<RedisServer> {
    return new RedisServer(await launch(args), args);
  }

  get port(): number {
    return this.first.port;
  }

  get pid(): number {
    return this.now.pid;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** SIGKILL */
  kill(): Promise<void> {
    return this.now.kill();
  }

  /** Another process at the same port, once the one before it was killed; it has what that one had saved. */
  async again(...args: string[]): Promise<void> {
    this.now = await launch([...this.args, ...args], this.first);
  }

  /** Another process at the same port that knows nothing. */
  async againEmpty(): Promise<void> {
    rmSync(join(this.first.dir, 'dump.rdb'), { force: true });
    await this.again();
  }

  /** @throws Error (rejects) as the server says */
  command(...words: [string, ...(string | number)[]]): Promise<unknown> {
    return command(this.port, words);
  }

  async stop(): Promise<void> {
    if (this.now !== this.first) await this.now.stop();
    await this.first.stop();
  }
}

/** A master with a copy of it, and a sentinel that knows both and puts the copy in the place of a master that is gone. */
export class WatchedRedis {
  private constructor(
    readonly master: RedisServer,
    readonly copy: RedisServer,
    private readonly sentinel: RedisServer,
  ) {}

  static async start(): Promise<WatchedRedis> {
    const master = await RedisServer.start();
    const copy = await RedisServer.start('--replicaof', `127.0.0.1 ${master.port}`);
    // a sentinel asks a master for its copies every ten seconds, and at once when it begins
    await until(async () => `${await master.command('INFO', 'replication')}`.includes('state=online'), {
      what: 'the copy to follow its master',
    });
    const sentinel = await RedisServer.start('--sentinel');
    await sentinel.command('SENTINEL', 'MONITOR', 'main', '127.0.0.1', master.port, 1);
    const SOON = ['down-after-milliseconds', 500, 'failover-timeout', 5000] as const;
    await sentinel.command('SENTINEL', 'SET', 'main', ...SOON);
    const known = async () => ((await sentinel.command('SENTINEL', 'REPLICAS', 'main')) as unknown[]).length === 1;
    await until(known, { what: 'the sentinel to know the copy' });
    return new WatchedRedis(master, copy, sentinel);
  }

  get url(): string {
    return `redis+sentinel://127.0.0.1:${this.sentinel.port}/main`;
  }

  /** The copy stays as it is, while its master goes on. */
  async leaveCopyBehind(): Promise<void> {
    await this.copy.command('CONFIG', 'SET', 'masterauth', 'of another master');
    await this.copy.command('CLIENT', 'KILL', 'TYPE', 'master');
    await until(async () => !`${await this.master.command('INFO', 'replication')}`.includes('state=online'), {
      what: 'the copy to lose its master',
    });
  }

  async stop(): Promise<void> {
    for (const server of [this.sentinel, this.copy, this.master]) await server.stop();
  }
}

export interface SlotMove {
  to: RedisServer;
  /** Moves what lies there. */
  keys: (...keys: string[]) => Promise<void>;
  /** All masters know from now on that the slot is the other one's. */
  end: () => Promise<void>;
}

/** Three masters without copies; slots are divided among them. */
export class RedisCluster {
  private constructor(readonly masters: readonly RedisServer[]) {}

  static async start(): Promise<RedisCluster> {
    const args = ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', '--cluster-node-timeout', '1000'];
    const masters = await Promise.all([0, 1, 2].map(() => RedisServer.start(...args)));
    const bounds = [0, 5461, 10_923, 16_384];
    for (const [i, one] of masters.entries()) {
      await one.command('CLUSTER', 'ADDSLOTSRANGE', bounds[i] as number, (bounds[i + 1] as number) - 1);
      await one.command('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
      await one.command('CLUSTER', 'MEET', '127.0.0.1', (masters[0] as RedisServer).port);
    }
    const cluster = new RedisCluster(masters);
    await cluster.whole();
    return cluster;
  }

  get url(): string {
    return `redis+cluster://${this.masters.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  }

  /** All of them agree that each slot has its master. */
  async whole(): Promise<void> {
    const says = async (one: RedisServer) => `${await one.command('CLUSTER', 'INFO')}`;
    const isWhole = (info: string) => /cluster_state:ok/.test(info) && /cluster_size:3/.test(info);
    await until(async () => (await Promise.all(this.masters.map(says))).every(isWhole), {
      what: 'the cluster to be whole',
    });
  }

  /** @returns the number of the master that has the slot of a key, where none was moved */
  async masterOf(key: string): Promise<number> {
    const slot = await this.slotOf(key);
    return slot < 5461 ? 0 : slot < 10_923 ? 1 : 2;
  }

  /** Begins to move the slot of a key to another master; what is in it stays until it is moved by name. */
  async beginMove(key: string): Promise<SlotMove> {
    const slot = await this.slotOf(key);
    const index = await this.masterOf(key);
    const from = this.masters[index] as RedisServer;
    const to = this.masters[(index + 1) % 3] as RedisServer;
    const [fromId, toId] = (await Promise.all([from, to].map((one) => one.command('CLUSTER', 'MYID')))) as string[];
    await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', `${fromId}`);
    await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', `${toId}`);
    return {
      to,
      keys: async (...keys) => {
        await from.command('MIGRATE', '127.0.0.1', to.port, '', 0, 5000, 'KEYS', ...keys);
      },
      end: async () => {
        for (const one of [to, from, ...this.masters]) await one.command('CLUSTER', 'SETSLOT', slot, 'NODE', `${toId}`);
      },
    };
  }

  private async slotOf(key: string): Promise<number> {
    return Number(await this.masters[0]?.command('CLUSTER', 'KEYSLOT', key));
  }

  async stop(): Promise<void> {
    for (const server of this.masters) await server.stop();
  }
}

function launch(args: string[], former?: Daemon): Promise<Daemon> {
  return startDaemon({
    binary: requireBinary('redis'),
    command: (port, ownDir) => {
      const dir = former?.dir ?? ownDir;
      const place = ['--bind', '127.0.0.1', '--port', `${port}`, '--dir', dir];
      if (args[0] !== '--sentinel') return { args: [...place, '--save', '', ...args], env: {} };
      const file = join(dir, 'sentinel.conf'); // it wants one that it can write to
      writeFileSync(file, '');
      return { args: [file, ...args, ...place], env: {} };
    },
    answers,
    ...(former ? { port: former.port } : {}),
  });
}

/** One that is still loading, or does not let everybody in, is there, too. */
async function answers(port: number): Promise<void> {
  try {
    await command(port, ['PING']);
  } catch (error) {
    if (!/^(LOADING|NOAUTH|NOPERM)/.test((error as Error).message)) throw error;
  }
}

async function command(port: number, [name, ...rest]: [string, ...(string | number)[]]): Promise<unknown> {
  const client = new Redis({ port, lazyConnect: true, retryStrategy: () => null, enableReadyCheck: false });
  client.on('error', () => undefined); // connect and call tell it
  try {
    await client.connect();
    return await client.call(name, ...rest);
  } finally {
    client.disconnect();
  }
}
