import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { freePorts, type Master, RedisServer, type Replica, startMaster, startReplica } from '#harness';
import { startPostgres } from '../../apps/local/src/postgres/index.js';

export const REGIONS = ['eu-west', 'us-east', 'ap-south'] as const;
export type Region = (typeof REGIONS)[number];

/** How jobs are woken: by the master itself, or through Redis. */
export type QueueKind = 'in-process' | 'BullMQ';

/**
 * `staging` without replicas and `prod` with one in each of three regions, a master, its PostgreSQL with its usual settings, and Redis.
 * Each is a process that can be killed, and comes back at its port with what it has on its disk.
 */
export class PromotionWorld {
  readonly home = mkdtempSync(join(tmpdir(), 'helio-promotions-'));
  /** what every process wrote */
  readonly log = `${this.home}.log`;
  readonly replicas = {} as Record<Region, Replica>;
  master!: Master;
  /** of this measurement itself; a connection that breaks fails what waits for it */
  pool!: pg.Pool;
  private first!: Master;
  private redis!: RedisServer;
  private postgres!: Awaited<ReturnType<typeof startPostgres>>;
  private postgresPort = 0;

  static async start(queue: QueueKind): Promise<PromotionWorld> {
    const world = new PromotionWorld();
    // the harness prints what a process wrote when it ends, and here they end by the hundred
    console.log = (text: string) => appendFileSync(world.log, `${text}\n`);
    try {
      await world.startServices();
      await world.startMaster(queue);
      await world.startRegions();
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  private async startServices(): Promise<void> {
    this.postgresPort = (await freePorts(1))[0] ?? 0;
    await this.startPostgres();
    this.redis = await RedisServer.start();
    this.pool = new pg.Pool({ connectionString: this.postgres.url, max: 4 }).on('error', () => undefined);
  }

  async startPostgres(): Promise<void> {
    const { home, postgresPort: port } = this;
    const dir = join(home, 'postgres');
    this.postgres = await startPostgres({ dir, port, log: `${home}.postgres.log`, database: 'heliograph' });
  }

  /** One in the place of the one that has gone. */
  async startMaster(queue: QueueKind): Promise<void> {
    const more: Record<string, string> = queue === 'BullMQ' ? { REDIS_URL: this.redis.url } : {};
    if (this.first) this.master = await this.first.again(more);
    else {
      const env = { HELIO_LOG_LEVEL: 'warn' };
      this.first = await startMaster({ database: this.postgres.url, store: this.store, env });
      if (queue === 'in-process') this.master = this.first;
      else {
        await this.first.stop();
        this.master = await this.first.again(more);
      }
    }
  }

  private async startRegions(): Promise<void> {
    const { client } = this.master;
    await client.post('/v1/environments', { id: 'staging', position: 20 });
    await client.post('/v1/environments', { id: 'prod', position: 30 });
    await client.post('/v1/plans', { id: 'free' }); // a replica is ready when there is something to serve
    for (const region of REGIONS) await client.post('/v1/regions', { id: region, environment: 'prod' });
    await Promise.all(
      REGIONS.map(async (region) => {
        const { body } = await client.post('/v1/join-tokens', { region });
        const env = {
          HELIO_MASTER_URL: this.master.url,
          HELIO_JOIN_TOKEN: body.token,
          ARTIFACT_STORE: this.store,
          HELIO_LOG_LEVEL: 'warn',
        };
        const stateDir = join(this.home, region);
        this.replicas[region] = await startReplica({ region, environment: 'prod', stateDir, env });
      }),
    );
  }

  private get store(): string {
    return `file://${join(this.home, 'store')}`;
  }

  async killMaster(): Promise<void> {
    this.master.kill('SIGKILL');
    await this.master.exited;
  }

  killRedis(): Promise<void> {
    return this.redis.kill();
  }

  /** It is empty: nothing of it is on a disk. */
  startRedis(): Promise<void> {
    return this.redis.again();
  }

  /** The server alone: what works for connections finds out by itself. */
  async killPostgres(): Promise<void> {
    process.kill(this.postgres.pid, 'SIGKILL');
    await this.postgres.exited;
  }

  async killReplica(region: Region): Promise<void> {
    this.replicas[region].kill('SIGKILL');
    await this.replicas[region].exited;
  }

  async startReplica(region: Region): Promise<void> {
    this.replicas[region] = await this.replicas[region].again();
  }

  /** Makes an API with two releases whose answers name them in `X-Release`, the first of them in prod, the second in staging. */
  async publish(name: string, upstreams: Upstreams, had: readonly Region[] = REGIONS): Promise<Published> {
    const { client } = this.master;
    const api = `${name}:v1`;
    await client.post('/v1/apis', { name, version: 'v1' });
    const release = async (which: keyof Upstreams): Promise<string> => {
      const definition = {
        routes: [{ method: 'GET', path: '/*' }],
        upstream: { targets: [{ url: upstreams[which] }] },
        security: 'open',
        plans: [],
        policies: { responseHeaders: { set: { 'X-Release': which } } },
      };
      return (await client.post(`/v1/apis/${api}/releases`, { definition })).body.digest;
    };
    const published = { api, first: await release('first'), second: await release('second'), had };
    for (const region of had) await this.place('prod', api, region, published.first);
    await this.place('staging', api, '*', published.second);
    return published;
  }

  /** @param headers `If-Match` where something is placed there */
  async place(
    environment: string,
    api: string,
    region: string,
    release: string,
    headers: Record<string, string> = {},
  ): Promise<void> {
    await this.master.client.put(
      `/v1/placements/${environment}/${api}/${region}`,
      { release, reason: 'bench' },
      { headers },
    );
  }

  async stop(): Promise<void> {
    await Promise.all(Object.values(this.replicas).map((replica) => replica.stop()));
    await this.master?.stop();
    await this.pool?.end();
    await this.redis?.stop();
    await this.postgres?.stop();
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** URLs behind the two releases of an API. */
export interface Upstreams {
  first: string;
  second: string;
}

/** An API with the digests of its releases. */
export interface Published {
  api: string;
  first: string;
  second: string;
  /** where the first one serves */
  had: readonly Region[];
}
