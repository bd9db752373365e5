import { Redis } from 'ioredis';
import { freePort } from '../gateway/ports.js';
import { type Server, startServer } from '../gateway/server.js';

/** What a Redis has done so far, by its own account (`INFO`). */
export interface Work {
  /** scripts and functions that were called: what limiters ask by */
  calls: number;
  /** commands, those that scripts gave included */
  commands: number;
  /** milliseconds of CPU */
  cpu: number;
}

export interface RedisServer extends Server {
  url: string;
  work(): Promise<Work>;
}

/** An empty Redis that keeps nothing on the disk. @param directory a new one */
export async function startRedisServer(directory: string, cores: string): Promise<RedisServer> {
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  const args = ['--bind', '127.0.0.1', '--port', `${port}`, '--dir', directory, '--save', '', '--loglevel', 'warning'];
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
  client.on('error', () => undefined); // not up yet: it is asked again
  const ready = async (): Promise<boolean> => {
    try {
      if (client.status !== 'ready') await client.connect();
      return (await client.ping()) === 'PONG';
    } catch {
      return false;
    }
  };
  const server = await startServer({ name: 'redis', command: 'redis-server', args, cores, port, ready });
  const stop = async (): Promise<void> => {
    client.disconnect();
    await server.stop();
  };
  return { ...server, url, stop, work: async () => workIn(await client.info('all')) };
}

function workIn(info: string): Work {
  const number = (name: string): number => Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1] ?? Number.NaN);
  const scripts = info.matchAll(/^cmdstat_(?:evalsha|eval|fcall)(?:_ro)?:calls=(\d+)/gm);
  return {
    calls: [...scripts].reduce((sum, [, count]) => sum + Number(count), 0),
    commands: number('total_commands_processed'),
    cpu: 1000 * (number('used_cpu_user') + number('used_cpu_sys')),
  };
}
