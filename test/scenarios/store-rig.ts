import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type ArtifactStore, newSigningKeyPem, openStore, signerFromPem } from '#artifacts';
import {
  type FaultProxy,
  type FreshDatabase,
  faultProxy,
  freshDatabase,
  type Master,
  type Replica,
  type S3Service,
  s3Client,
  startMaster,
  startReplica,
  until,
} from '#harness';
import { auditStore } from '../../apps/master/src/testing/store-audit.js';

/** `connected`: to master and store, as most replicas are; `secluded`: to the store alone. */
export const REPLICAS = ['connected', 'secluded'] as const;
export type ReplicaName = (typeof REPLICAS)[number];

/** What a status said at a moment: only what must fit to the chain. */
interface Seen {
  epoch: number;
  revision: number;
  hash: string | null;
  root: string | null;
}

/** A master and two replicas as real processes, with a store of which they see only what a fault proxy lets through. */
export class StoreRig {
  readonly replicas = {} as Record<ReplicaName, Replica>;
  readonly seen: Record<ReplicaName, Seen[]> = { connected: [], secluded: [] };
  readonly bucket = `faults-${randomBytes(6).toString('hex')}`;
  master!: Master;
  proxy!: FaultProxy;
  private readonly directory = mkdtempSync(join(tmpdir(), 'helio-store-rig-'));
  private readonly pem = newSigningKeyPem();
  private database!: FreshDatabase;
  private pool!: pg.Pool;
  /** past the proxy: what is really there */
  private store!: ArtifactStore;
  private application = '';
  private watching: NodeJS.Timeout | undefined;

  static async start(service: S3Service): Promise<StoreRig> {
    const rig = new StoreRig(service);
    try {
      await rig.begin();
      return rig;
    } catch (error) {
      await rig.stop();
      throw error;
    }
  }

  private constructor(private readonly service: S3Service) {}

  private async begin(): Promise<void> {
    const url = `s3://${this.bucket}/chains`;
    this.store = openStore(url, { s3: this.service });
    this.proxy = await faultProxy(this.service);
    this.database = await freshDatabase();
    this.pool = new pg.Pool({ connectionString: this.database.url });
    const { endpoint, accessKey, secretKey, region } = this.proxy.s3;
    const env = { S3_ENDPOINT: endpoint, S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey, S3_REGION: region };
    const signingKey = join(this.directory, 'signing.pem');
    writeFileSync(signingKey, this.pem, { mode: 0o600 });
    this.master = await startMaster({ database: this.database.url, store: url, signingKey, env });
    const { client } = this.master;
    await client.post('/v1/environments', { id: 'prod', position: 30 });
    for (const region of REPLICAS) await client.post('/v1/regions', { id: region, environment: 'prod' });
    this.application = (await client.post('/v1/applications', { name: 'consumer' })).body.id;
    const { body } = await client.post('/v1/join-tokens', { region: 'connected' });
    const sources = {
      connected: { HELIO_MASTER_URL: this.master.url, HELIO_JOIN_TOKEN: body.token },
      secluded: { HELIO_TRUSTED_KEYS: signerFromPem(this.pem).publicKey },
    };
    await this.write(1); // a replica is ready when it has something
    const start = async (region: ReplicaName): Promise<void> => {
      const stateDir = join(this.directory, region);
      const more = { ARTIFACT_STORE: url, ...env, ...sources[region] };
      this.replicas[region] = await startReplica({ region, environment: 'prod', stateDir, env: more });
    };
    await Promise.all(REPLICAS.map(start));
    this.watch();
  }

  /** Issues keys, one after the other, each of which has to be answered with its revision. @returns the last revision */
  async write(keys: number): Promise<string> {
    let revision = '';
    for (let n = 0; n < keys; n++) {
      const { headers } = await this.master.client.post(`/v1/applications/${this.application}/keys`, {
        environment: 'prod',
      });
      revision = headers.get('heliograph-revision') ?? '';
    }
    return revision;
  }

  /** Waits until a replica's gateway workers have the revision. */
  async reached(replica: ReplicaName, revision: string): Promise<void> {
    const url = `${this.replicas[replica].admin}/readyz?min=${revision}`;
    const what = `the ${replica} replica to have ${revision}`;
    await until(async () => (await fetch(url)).status === 200, { within: 60_000, what });
  }

  /** Where the master says it stands with its store. */
  async standing(): Promise<{ state: string; error: string | null }> {
    const { body } = await this.master.client.get('/readyz');
    return body.environments[0].store;
  }

  // fields of many shapes
  // oxlint-disable-next-line typescript/no-explicit-any
  async status(replica: ReplicaName): Promise<any> {
    return (await fetch(`${this.replicas[replica].admin}/status`)).json();
  }

  /** Waits until the store has the whole chain, byte by byte. */
  async stored(): Promise<void> {
    const { publicKey } = signerFromPem(this.pem);
    const complete = async (): Promise<boolean> => {
      const { revision } = await auditStore(this.store, this.pool, 'prod', publicKey);
      const { rows } = await this.pool.query<{ revision: string }>('SELECT revision FROM chain');
      return revision === Number(rows[0]?.revision);
    };
    await until(complete, { within: 60_000, what: 'the store to have the whole chain' });
  }

  /** Removes every object of the bucket. @returns how many there were */
  async empty(): Promise<number> {
    const client = s3Client(this.service);
    const names: string[] = [];
    for await (const { name } of client.listObjectsV2(this.bucket, '', true)) names.push(String(name));
    await client.removeObjects(this.bucket, names);
    return names.length;
  }

  /** Hash and root of each revision, by the master's database. */
  async chain(): Promise<Map<number, { hash: string; root: string }>> {
    const { rows } = await this.pool.query<{ revision: string; hash: Buffer; root: Buffer }>(
      'SELECT revision, hash, root FROM revision',
    );
    return new Map(
      rows.map(({ revision, hash, root }) => [
        Number(revision),
        { hash: hash.toString('hex'), root: root.toString('hex') },
      ]),
    );
  }

  async stop(): Promise<void> {
    clearInterval(this.watching);
    await this.proxy?.set(null);
    await Promise.all([...Object.values(this.replicas), this.master].map((app) => app?.stop()));
    await this.proxy?.close();
    await this.store?.close();
    await this.pool?.end();
    await this.database?.drop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Looks at both replicas all the time, at each once at a time: of two answers under way the older one may come last. */
  private watch(): void {
    const looking = new Set<string>();
    this.watching = setInterval(() => {
      for (const name of REPLICAS.filter((one) => !looking.has(one))) {
        looking.add(name);
        this.status(name)
          .then(
            ({ epoch, revision, hash, root }: Seen) => this.seen[name].push({ epoch, revision, hash, root }),
            () => undefined, // the last look, when it is stopped
          )
          .finally(() => looking.delete(name));
      }
    }, 100);
  }
}
