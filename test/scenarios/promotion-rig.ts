import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type FreshDatabase, freshDatabase, type Master, startMaster, until } from '#harness';

const REGIONS = ['eu-west', 'us-east', 'ap-south'];

export interface PromotionEnd {
  state: string;
  /** what happened: `rolling start 1` */
  events: string[];
  /** each with how often it was placed: `weather:v1@eu-west 1` */
  placed: string[];
}

/** A real master with `staging` and `prod`, where nothing but PostgreSQL is left of it when it is killed. */
export class PromotionRig {
  private readonly directory = mkdtempSync(join(tmpdir(), 'helio-promotion-'));
  master!: Master;
  pool!: pg.Pool;
  private database!: FreshDatabase;
  readonly releases = new Map<string, [string, string]>();

  static async start(apis: string[], env: Record<string, string> = {}): Promise<PromotionRig> {
    const rig = new PromotionRig();
    rig.database = await freshDatabase();
    rig.pool = new pg.Pool({ connectionString: rig.database.url }).on('error', () => undefined);
    const store = `file://${join(rig.directory, 'store')}`;
    rig.master = await startMaster({ database: rig.database.url, store, env });
    const { client } = rig.master;
    await client.post('/v1/environments', { id: 'staging', position: 20 });
    await client.post('/v1/environments', { id: 'prod', position: 30 });
    for (const id of REGIONS) await client.post('/v1/regions', { id, environment: 'prod' });
    for (const name of apis) await rig.publish(name);
    return rig;
  }

  /** Two releases: the first serves in prod, the second in staging. */
  private async publish(name: string): Promise<void> {
    const { client } = this.master;
    await client.post('/v1/apis', { name, version: 'v1' });
    const release = async (n: number): Promise<string> => {
      const definition = {
        routes: [{ method: 'GET', path: '/*' }],
        upstream: { targets: [{ url: `http://127.0.0.1:${n}` }] },
        security: 'open',
        plans: [],
      };
      return (await client.post(`/v1/apis/${name}:v1/releases`, { definition })).body.digest;
    };
    const both: [string, string] = [await release(1), await release(2)];
    this.releases.set(name, both);
    const place = (environment: string, region: string, digest: string) =>
      client.put(`/v1/placements/${environment}/${name}:v1/${region}`, { release: digest, reason: 'a test' });
    await place('prod', 'eu-west', both[0]);
    await place('staging', '*', both[1]);
  }

  /** @param soak seconds */
  async promote(name: string, soak = 0): Promise<string> {
    const { body } = await this.master.client.post('/v1/promotions', {
      api: `${name}:v1`,
      release: this.releases.get(name)?.[1],
      to: 'prod',
      strategy: { waves: [['eu-west'], ['us-east', 'ap-south']], soak, gates: { minRequests: 0 } },
    });
    return body.id;
  }

  /** The process, and nothing else: its connections find out by themselves. */
  async killMaster(): Promise<void> {
    this.master.kill('SIGKILL');
    await this.master.exited;
  }

  async restartMaster(): Promise<void> {
    this.master = await this.master.again();
  }

  async is(id: string, state: string, within = 60_000): Promise<void> {
    const look = async () => (await this.pool.query('SELECT state FROM promotion WHERE id = $1', [id])).rows[0]?.state;
    await until(async () => (await look()) === state, { what: `the promotion to be ${state}`, within });
  }

  async end(id: string): Promise<PromotionEnd> {
    const { rows: events } = await this.pool.query(
      `SELECT split_part(type, '.', 2) || ' ' || (data->>'input') || ' ' || (data->>'wave') AS event FROM event WHERE subject = 'promotion/' || $1 ORDER BY written`,
      [id],
    );
    const { rows: placed } = await this.pool.query(
      `SELECT split_part(target, '/', 4) || ' ' || action || ' ' || count(*) AS place FROM audit
       WHERE (actor = $1 OR actor = 'bootstrap' AND xid IN (SELECT xid FROM audit WHERE target = 'promotion/' || $2)) AND action LIKE 'placement.%'
       GROUP BY target, action ORDER BY 1`,
      [`promotion/${id}`, id],
    );
    const { rows } = await this.pool.query('SELECT state FROM promotion WHERE id = $1', [id]);
    return { state: rows[0].state, events: events.map(({ event }) => event), placed: placed.map(({ place }) => place) };
  }

  /** `region release` of an API. */
  async placements(name: string, environment = 'prod'): Promise<string[]> {
    const { rows } = await this.pool.query(
      `SELECT region || ' ' || encode(digest, 'hex') AS place FROM placement WHERE environment_id = $2 AND api_id = $1 ORDER BY 1`,
      [`${name}:v1`, environment],
    );
    return rows.map(({ place }) => place);
  }

  async root(environment = 'prod'): Promise<string> {
    return (await this.master.client.get(`/v1/environments/${environment}/head`)).body.root;
  }

  async stop(): Promise<void> {
    await this.master?.stop();
    await this.pool?.end();
    await this.database?.drop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
