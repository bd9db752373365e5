import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type FreshDatabase,
  freshDatabase,
  type Master,
  type Replica,
  startMaster,
  startReplica,
  until,
} from '#harness';
import { type Admitted, monotonicMicros, SENT_FIELD } from '../../bench/throttle/admitted.js';
import { OwnRedis } from './own-redis.js';
import { RedisLink } from './redis-link.js';

/** Of the plan `steady`. Two nodes of as many workers: each has half of it. */
export const RATE = { perSecond: 100, burst: 100 };
/** Of the plan `bursty`: what is gained by forgetting it is far more than what time pays back. */
export const BURSTY = { perSecond: 1, burst: 100 };
/** Of the plan `daily`. */
export const QUOTA = 300;
const WORKERS = 2;

/** A request that got through, and by which node. */
export interface Passed {
  admitted: Admitted;
  node: number;
  consumer: string;
}

/** One that was answered. */
export interface Answered {
  node: number;
  status: number;
  at: number;
}

/** A master, and two replicas in one region that count in one Redis, by a network that can be cut. */
export class LimitsRig {
  readonly directory = mkdtempSync(join(tmpdir(), 'helio-limits-'));
  readonly nodes: Replica[] = [];
  readonly stateDirs: string[] = [];
  readonly passed: Passed[] = [];
  master!: Master;
  redis!: OwnRedis;
  link!: RedisLink;
  private database!: FreshDatabase;
  private upstream!: Server;

  /** @param straight whether nodes reach Redis without the link that can be cut */
  constructor(
    private readonly workers: number,
    private readonly straight: boolean,
  ) {}

  static async start(workers = WORKERS, straight = false): Promise<LimitsRig> {
    const rig = new LimitsRig(workers, straight);
    try {
      await rig.begin();
      return rig;
    } catch (error) {
      await rig.stop();
      throw error;
    }
  }

  private async begin(): Promise<void> {
    this.redis = await OwnRedis.start();
    this.link = await RedisLink.open(this.redis.port);
    this.upstream = createServer((request, response) => {
      const { [SENT_FIELD]: sent, 'x-node': node, 'x-consumer': consumer } = request.headers;
      const admitted: Admitted = [Number(sent), monotonicMicros()];
      this.passed.push({ admitted, node: Number(node), consumer: String(consumer) });
      response.end('passed');
    }).listen(0, '127.0.0.1');
    await once(this.upstream, 'listening');
    this.database = await freshDatabase();
    const store = `file://${join(this.directory, 'store')}`;
    this.master = await startMaster({ database: this.database.url, store });
    const { client } = this.master;
    await client.post('/v1/environments', { id: 'prod', position: 30 });
    await client.post('/v1/regions', { id: 'eu-west', environment: 'prod' });
    const { perSecond, burst } = RATE;
    await client.post('/v1/plans', { id: 'steady', rate: { limit: perSecond, per: 'second', burst } });
    await client.post('/v1/plans', { id: 'bursty', rate: { limit: 60, per: 'minute', burst: BURSTY.burst } });
    await client.post('/v1/plans', { id: 'daily', quota: { limit: QUOTA, per: 'day' } });
    await client.post('/v1/apis', { name: 'weather', version: 'v1' });
    const url = `http://127.0.0.1:${(this.upstream.address() as AddressInfo).port}`;
    const definition = {
      routes: [{ method: 'GET', path: '/*' }],
      upstream: { targets: [{ url }] },
      security: 'key',
      plans: ['steady', 'bursty', 'daily'],
    };
    const { body } = await client.post('/v1/apis/weather:v1/releases', { definition });
    await client.put('/v1/placements/prod/weather:v1/*', { release: body.digest, reason: 'a test' });
    await Promise.all([this.addNode(), this.addNode()]);
    await this.counting('shared');
  }

  /** Another replica in the region. */
  async addNode(): Promise<Replica> {
    const { body } = await this.master.client.post('/v1/join-tokens', { region: 'eu-west' });
    const stateDir = mkdtempSync(join(this.directory, 'replica-'));
    const node = await startReplica({
      environment: 'prod',
      region: 'eu-west',
      stateDir,
      workers: this.workers,
      env: {
        HELIO_MASTER_URL: this.master.url,
        HELIO_JOIN_TOKEN: body.token,
        ARTIFACT_STORE: `file://${join(this.directory, 'store')}`,
        REDIS_URL: this.redis.urlAt(this.straight ? this.redis.port : this.link.port),
      },
    });
    this.nodes.push(node);
    this.stateDirs.push(stateDir);
    return node;
  }

  /** Ends the newest one. */
  async dropNode(): Promise<void> {
    await this.nodes.pop()?.stop();
    this.stateDirs.pop();
  }

  /** Others on the disks of those that have gone. */
  async restartNodes(): Promise<void> {
    const again = await Promise.all(this.nodes.map((node) => node.again()));
    this.nodes.splice(0, this.nodes.length, ...again);
  }

  /** An application that nobody has counted for, on a plan; every node knows its key. */
  async consumer(plan: 'steady' | 'bursty' | 'daily'): Promise<Consumer> {
    const { client } = this.master;
    const { body: application } = await client.post('/v1/applications', { name: 'consumer' });
    await client.post('/v1/subscriptions', { application: application.id, api: 'weather:v1', plan });
    const { body: key, headers } = await client.post(`/v1/applications/${application.id}/keys`, {
      environment: 'prod',
    });
    const revision = headers.get('heliograph-revision') ?? '';
    for (const { admin } of this.nodes)
      await until(async () => (await fetch(`${admin}/readyz?min=${revision}`)).status === 200, {
        what: `the nodes to have ${revision}`,
      });
    return new Consumer(this, application.id, key.secret);
  }

  /** Waits until every node says where it counts. */
  async counting(where: 'shared' | 'local', nodes: readonly Replica[] = this.nodes): Promise<void> {
    for (const node of nodes)
      await until(async () => (await statusOf(node)).throttle === where, { what: `a node to say throttle: ${where}` });
  }

  async stop(): Promise<void> {
    this.link?.heal();
    await Promise.all([...this.nodes, this.master].map((app) => app?.stop()));
    await this.link?.close();
    await this.redis?.stop();
    this.upstream?.close();
    this.upstream?.closeAllConnections();
    await this.database?.drop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

// fields of many shapes
// oxlint-disable-next-line typescript/no-explicit-any
export async function statusOf({ admin }: Replica): Promise<any> {
  return (await fetch(`${admin}/status`)).json();
}

/** Clients that ask again and again with one key, at every node. */
export class Consumer {
  readonly answered: Answered[] = [];
  /** what was neither let through nor refused for a limit */
  readonly wrong: string[] = [];
  private asking = true;
  private clients: Promise<void>[] = [];

  constructor(
    private readonly rig: LimitsRig,
    readonly id: string,
    private readonly secret: string,
  ) {}

  /** @param each clients at each node; a client asks again a moment after it was answered */
  begin(each: number): void {
    this.asking = true;
    const clients = this.rig.nodes.flatMap((_, index) => Array.from({ length: each }, () => this.client(index)));
    this.clients = clients;
  }

  async end(): Promise<void> {
    this.asking = false;
    await Promise.all(this.clients);
  }

  /** Those that got through, from a moment on. */
  passed(from = 0, until = Number.POSITIVE_INFINITY): Passed[] {
    return this.rig.passed.filter(
      ({ consumer, admitted: [sent, arrived] }) => consumer === this.id && sent >= from && arrived <= until,
    );
  }

  /** Waits until each node has answered so many more requests that it was asked from now on. */
  async served(count: number, status?: number): Promise<void> {
    const from = monotonicMicros();
    for (const [index] of this.rig.nodes.entries())
      await until(
        () =>
          this.answered.filter(
            (one) => one.node === index && one.at >= from && (status === undefined || one.status === status),
          ).length >= count,
        { what: `node ${index} to answer ${count} requests${status === undefined ? '' : ` ${status}`}` },
      );
  }

  /** One request at a node. */
  async ask(index: number): Promise<void> {
    const at = monotonicMicros();
    const headers = { 'x-api-key': this.secret, 'x-node': `${index}`, 'x-consumer': this.id, [SENT_FIELD]: `${at}` };
    try {
      const response = await fetch(`${this.rig.nodes[index]?.gateway}/weather/v1/today`, { headers });
      const text = await response.text();
      this.answered.push({ node: index, status: response.status, at });
      if (response.status !== 200 && response.status !== 429) this.wrong.push(`${response.status} ${text}`);
    } catch (error) {
      this.wrong.push(String((error as Error).cause ?? error));
    }
  }

  private async client(index: number): Promise<void> {
    while (this.asking) {
      await this.ask(index);
      await sleep(20);
    }
  }
}
