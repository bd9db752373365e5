import { Redis } from 'ioredis';
import { pauseProcess } from '#harness';
import { type Daemon, startDaemon } from '../harness/daemon.js';
import { requireBinary } from '../harness/services.js';

const PASSWORD = 'between-test-and-test';

/** A Redis of a test's own, that can be killed, stopped, emptied and filled, and comes back with the same password. */
export class OwnRedis {
  private constructor(private daemon: Daemon) {}

  static async start(): Promise<OwnRedis> {
    return new OwnRedis(await launch());
  }

  get port(): number {
    return this.daemon.port;
  }

  /** As a client has it that reaches this server at another port. */
  urlAt(port: number): string {
    return `redis://:${PASSWORD}@127.0.0.1:${port}`;
  }

  kill(): Promise<void> {
    return this.daemon.kill();
  }

  /** Another one in the place of one that was killed: empty, at another port. */
  async again(): Promise<void> {
    await this.daemon.stop();
    this.daemon = await launch();
  }

  pause(): Promise<void> {
    return pauseProcess(this.daemon.pid);
  }

  resume(): void {
    process.kill(this.daemon.pid, 'SIGCONT');
  }

  command(...words: [string, ...string[]]): Promise<unknown> {
    return command(this.daemon.port, words);
  }

  async stop(): Promise<void> {
    this.resumeIfAny();
    await this.daemon.stop();
  }

  private resumeIfAny(): void {
    try {
      this.resume();
    } catch {
      // it was killed
    }
  }
}

function launch(): Promise<Daemon> {
  return startDaemon({
    binary: requireBinary('redis'),
    command: (port, dir) => ({
      args: ['--bind', '127.0.0.1', '--port', `${port}`, '--requirepass', PASSWORD, '--dir', dir, '--save', ''],
      env: {},
    }),
    answers: async (port) => void (await command(port, ['PING'])),
  });
}

async function command(port: number, [name, ...rest]: [string, ...string[]]): Promise<unknown> {
  const client = new Redis({ port, password: PASSWORD, lazyConnect: true, retryStrategy: () => null });
  client.on('error', () => undefined); // connect and call tell it
  try {
    await client.connect();
    return await client.call(name, ...rest);
  } finally {
    client.disconnect();
  }
}
