import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type FreshDatabase,
  freshDatabase,
  type Master,
  type RecordingUpstream,
  recordingUpstream,
  type Replica,
  startMaster,
  startReplica,
  until,
} from '#harness';

export const REGIONS = ['eu-west', 'us-east'] as const;
export type Region = (typeof REGIONS)[number];

export interface Consumer {
  application: string;
  keyId: string;
  secret: string;
  /** `prod@12`: the revision that carries the key */
  revision: string;
}

/** A master, a directory as the store, and a replica in each of two regions of `prod`, all as real processes. */
export class Rig {
  readonly directory = mkdtempSync(join(tmpdir(), 'helio-rig-'));
  readonly storeDirectory = join(this.directory, 'store');
  readonly replicas = {} as Record<Region, Replica>;
  master!: Master;
  upstream!: RecordingUpstream;
  private database!: FreshDatabase;

  /** @param newDatabase makes the one of the master */
  static async start(newDatabase = freshDatabase): Promise<Rig> {
    const rig = new Rig();
    try {
      rig.upstream = await recordingUpstream();
      rig.database = await newDatabase();
      rig.master = await startMaster(rig.masterOptions());
      const { client } = rig.master;
      await client.post('/v1/environments', { id: 'prod', position: 30 });
      await client.post('/v1/plans', { id: 'free' });
      for (const region of REGIONS) await client.post('/v1/regions', { id: region, environment: 'prod' });
      await Promise.all(REGIONS.map((region) => rig.startReplica(region)));
      return rig;
    } catch (error) {
      await rig.stop();
      throw error;
    }
  }

  async startReplica(region: Region): Promise<Replica> {
    const { body } = await this.master.client.post('/v1/join-tokens', { region });
    const replica = await startReplica({
      region,
      environment: 'prod',
      stateDir: join(this.directory, region),
      env: {
        HELIO_MASTER_URL: this.master.url,
        HELIO_JOIN_TOKEN: body.token,
        ARTIFACT_STORE: `file://${this.storeDirectory}`,
      },
    });
    this.replicas[region] = replica;
    return replica;
  }

  /** Another master in place of one that has gone. */
  async restartMaster(): Promise<void> {
    this.master = await this.master.again();
  }

  /** What another master in its place is started with, beside its port, key and token. */
  masterOptions(): { database: string; store: string; env: Record<string, string> } {
    const env = { HELIO_ISSUER_NETWORKS: '127.0.0.0/8' }; // issuers of tests are here
    return { database: this.database.url, store: `file://${this.storeDirectory}`, env };
  }

  /** Another replica on the disk of one that has gone. */
  async restartReplica(region: Region): Promise<Replica> {
    this.replicas[region] = await this.replicas[region].again();
    return this.replicas[region];
  }

  /** Makes an API whose every path below its context is one route, releases it and places it in all regions. */
  async publish(name: string, more: object = {}): Promise<string> {
    const { client } = this.master;
    await client.post('/v1/apis', { name, version: 'v1' });
    const definition = {
      routes: [{ method: '*', path: '/*' }],
      upstream: { targets: [{ url: this.upstream.url }] },
      security: 'key',
      plans: ['free'],
      ...more,
    };
    const { body } = await client.post(`/v1/apis/${name}:v1/releases`, { definition });
    await client.put(`/v1/placements/prod/${name}:v1/*`, { release: body.digest, reason: 'a test' });
    return `${name}:v1`;
  }

  /** An application that is subscribed to the APIs, with a key. */
  async consumer(...apis: string[]): Promise<Consumer> {
    const { client } = this.master;
    const { body: application } = await client.post('/v1/applications', { name: 'consumer' });
    for (const api of apis) await client.post('/v1/subscriptions', { application: application.id, api, plan: 'free' });
    const { body: key, headers } = await client.post(`/v1/applications/${application.id}/keys`, {
      environment: 'prod',
    });
    return {
      application: application.id,
      keyId: key.id,
      secret: key.secret,
      revision: headers.get('heliograph-revision') ?? '',
    };
  }

  /** One request through a region's gateway. @returns status, and the code of a problem document */
  async call(
    region: Region,
    path: string,
    key?: string,
    init: { method?: string } = {},
  ): Promise<{ status: number; code: string | undefined; body: unknown }> {
    const response = await fetch(this.replicas[region].gateway + path, {
      ...init,
      headers: key ? { 'x-api-key': key } : {},
    });
    const text = await response.text();
    const body: unknown = /json/.test(response.headers.get('content-type') ?? '') && text ? JSON.parse(text) : text;
    return { status: response.status, code: (body as { code?: string }).code, body };
  }

  /** Waits until a replica's gateway workers have the revision. */
  async reached(region: Region, revision: string, within = 45_000): Promise<void> {
    await until(async () => (await fetch(`${this.replicas[region].admin}/readyz?min=${revision}`)).status === 200, {
      within,
      what: `${region} to have ${revision}`,
    });
  }

  async everywhere(revision: string): Promise<void> {
    await Promise.all(REGIONS.map((region) => this.reached(region, revision)));
  }

  // fields of many shapes
  // oxlint-disable-next-line typescript/no-explicit-any
  async status(region: Region): Promise<any> {
    return (await fetch(`${this.replicas[region].admin}/status`)).json();
  }

  async stop(): Promise<void> {
    await Promise.all([...Object.values(this.replicas), this.master].map((app) => app?.stop()));
    await this.upstream?.close();
    await this.database?.drop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
