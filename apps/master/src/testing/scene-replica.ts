import { LATENCY_BOUNDS_MS, type Nack, type ReleaseCount, type ReplicaStatus } from '#model';
import { TrustedKeys } from '#artifacts';
import { good } from './answers.js';
import type { StartedApp } from './start-app.js';
import { StreamClient, statusOf } from './stream-client.js';

/** A replica as a promotion sees one: it acknowledges, reports, and has counted requests. */
export class SceneReplica {
  private readonly counts = new Map<string, ReleaseCount>();
  private boot = '0'.repeat(16);

  private constructor(
    readonly id: string,
    private readonly joined: { replica: string; region: string; environment: string; token: string },
    readonly client: StreamClient,
  ) {}

  static async join(app: StartedApp, region: string, environment = 'prod'): Promise<SceneReplica> {
    const { token } = await good(app.call('POST', '/v1/join-tokens', { region }));
    const joined = await good(app.call('POST', '/v1/replicas/join', { token, region, environment, build: '0.1.0' }));
    const client = await StreamClient.connect(app.url, joined.token, new TrustedKeys(joined.trustedKeys));
    client.position = { ...client.position, environment };
    await client.follow();
    return new SceneReplica(joined.replica, joined, client);
  }

  /** Another process of it, whose numbers begin at 0. */
  restart(): void {
    this.boot = (BigInt(`0x${this.boot}`) + 1n).toString(16).padStart(16, '0');
    this.counts.clear();
  }

  /** Counts more requests, all of which took `ms`, without telling. */
  serve(api: string, release: string, requests: number, errors: number, ms = 4): void {
    const so = this.counts.get(release);
    const bucket = LATENCY_BOUNDS_MS.findIndex((bound) => ms <= bound);
    const latency = (so?.latency ?? [...LATENCY_BOUNDS_MS, 0].map(() => 0)).map((n, i) =>
      i === bucket ? n + requests : n,
    );
    const [r, e] = [so?.requests ?? 0, so?.errors ?? 0];
    this.counts.set(release, {
      api: api as ReleaseCount['api'],
      release,
      requests: r + requests,
      errors: e + errors,
      latency,
    });
  }

  report(nacks: Nack[] = []): void {
    this.client.send({ type: 'status', status: this.status(nacks) });
  }

  /** As one does that has no stream. */
  reportByHttp(app: StartedApp): Promise<unknown> {
    return good(
      app.call('POST', '/v1/replicas/status', this.status([]), { authorization: `Bearer ${this.joined.token}` }),
    );
  }

  private status(nacks: Nack[]): ReplicaStatus {
    const { revision, epoch, hash } = this.client.position;
    const numbers = { boot: this.boot, counts: [...this.counts.values()] };
    return statusOf(this.joined, { revision, epoch, hash: hash.toString('hex'), nacks, numbers });
  }
}
