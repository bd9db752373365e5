import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { type LoneMaster, MasterCalls, startLoneMaster } from '../lone-master.js';
import { type Region, Regions } from '../regions.js';
import { Timeline } from './timeline.js';
import { type Fault, SoakUpstream } from './upstreams.js';

export type KeyState = 'unknown' | 'good' | 'revoked';
export type ReleaseName = 'a' | 'b';

export interface Key {
  id: string;
  secret: string;
  state: Timeline<KeyState>;
}

interface Written {
  headers: Record<string, string | string[] | undefined>;
  body: Record<string, unknown>;
}

/** Of the plan `tight`, a second; so many at once as well. */
export const TIGHT = 20;
export const CACHE_SECONDS = 2;
const REGION = 'soak';
const WAIT_MS = 60_000;

/** The system under load, and what is known of it at each moment. */
export class World {
  readonly keys: Key[] = [];
  readonly release = new Timeline<ReleaseName>('a');
  readonly fault = new Timeline<Fault | null>(null);
  tightKey = '';
  /** ETag of where `steady` is placed */
  #placed = '';
  #digests: Record<ReleaseName, string> = { a: '', b: '' };
  #application = '';

  private constructor(
    readonly master: LoneMaster,
    private readonly calls: MasterCalls,
    private readonly regions: Regions,
    readonly region: Region,
    readonly steady: readonly SoakUpstream[],
    readonly faulty: readonly SoakUpstream[],
  ) {}

  static async start(onRequest: (method: string, id: string) => void): Promise<World> {
    const upstreams = await Promise.all([1, 2, 3, 4].map(() => SoakUpstream.start(onRequest)));
    const master = await startLoneMaster();
    const calls = new MasterCalls(master.url, master.adminToken, 4);
    const regions = new Regions(master, calls);
    try {
      await calls.call('POST', '/v1/environments', { id: 'prod', position: 1 });
      await calls.call('POST', '/v1/plans', { id: 'wide' });
      await calls.call('POST', '/v1/plans', { id: 'tight', rate: { limit: TIGHT, per: 'second' } });
      const region = await regions.add(REGION, false, 2);
      const world = new World(master, calls, regions, region, upstreams.slice(0, 2), upstreams.slice(2));
      await world.#publish();
      return world;
    } catch (error) {
      await regions.stop();
      await calls.close();
      await master.stop();
      throw error;
    }
  }

  /** Issues a key; when it resolves it works. */
  async issue(): Promise<Key> {
    const key = await this.#issue(this.#application);
    this.keys.push(key);
    return key;
  }

  /** When it resolves the key is refused everywhere. */
  async revoke(key: Key): Promise<void> {
    const done = key.state.change('revoked');
    await this.#write('POST', `/v1/applications/${this.#application}/keys/${key.id}/revoke`, {});
    done();
  }

  async moveRelease(): Promise<void> {
    const name = this.release.newest === 'a' ? 'b' : 'a';
    const done = this.release.change(name);
    const body = { release: this.#digests[name], reason: 'bench' };
    const { headers } = await this.#write('PUT', '/v1/placements/prod/steady:v1/*', body, { 'if-match': this.#placed });
    this.#placed = String(headers['etag']);
    done();
  }

  async stop(): Promise<void> {
    await this.regions.stop();
    await this.calls.close();
    await this.master.stop();
    await Promise.all([...this.steady, ...this.faulty].map((upstream) => upstream.close()));
  }

  async #publish(): Promise<void> {
    const common = { routes: [{ method: '*', path: '/*' }], security: 'key', plans: ['wide', 'tight'] };
    const upstream = (all: readonly SoakUpstream[]) => ({ targets: all.map(({ url }) => ({ url })) });
    const marked = (name: ReleaseName) => ({ responseHeaders: { set: { 'X-Release': name } } });
    const steady = { ...common, upstream: upstream(this.steady) };
    const first = await this.#addApi('steady', { ...steady, policies: marked('a') });
    this.#placed = first.etag;
    const second = await this.#addRelease('steady', { ...steady, policies: marked('b') });
    this.#digests = { a: first.digest, b: second };
    await this.#addApi('cached', { ...steady, policies: { cache: { ttlSeconds: CACHE_SECONDS } } });
    const times = { connectTimeoutMs: 500, responseTimeoutMs: 1000 };
    await this.#addApi('faulty', { ...common, upstream: { ...upstream(this.faulty), ...times } });
    this.#application = await this.#subscribed('wide', ['steady:v1', 'cached:v1', 'faulty:v1']);
    this.tightKey = (await this.#issue(await this.#subscribed('tight', ['steady:v1']))).secret;
  }

  async #addApi(name: string, definition: object): Promise<{ digest: string; etag: string }> {
    await this.calls.call('POST', '/v1/apis', { name, version: 'v1' });
    const digest = await this.#addRelease(name, definition);
    const { headers } = await this.calls.call('PUT', `/v1/placements/prod/${name}:v1/*`, {
      release: digest,
      reason: 'bench',
    });
    return { digest, etag: String(headers['etag']) };
  }

  async #addRelease(name: string, definition: object): Promise<string> {
    return (await this.calls.call('POST', `/v1/apis/${name}:v1/releases`, { definition })).body.digest as string;
  }

  async #subscribed(plan: string, apis: string[]): Promise<string> {
    const { body } = await this.calls.call('POST', '/v1/applications', { name: plan });
    for (const api of apis) await this.calls.call('POST', '/v1/subscriptions', { application: body.id, api, plan });
    return body.id as string;
  }

  async #issue(application: string): Promise<Key> {
    const state = new Timeline<KeyState>('unknown');
    const done = state.change('good');
    const { body } = await this.#write('POST', `/v1/applications/${application}/keys`, { environment: 'prod' });
    done();
    return { id: String(body['id']), secret: String(body['secret']), state };
  }

  /** When it resolves every gateway worker of the region serves it, as the master says, or the replica itself. */
  async #write(
    method: 'POST' | 'PUT',
    path: string,
    body: object,
    headers: Record<string, string> = {},
  ): Promise<Written> {
    const answer = await request(`${this.master.url}${path}?applied=region:${REGION}`, {
      method,
      headers: {
        authorization: `Bearer ${this.master.adminToken}`,
        'content-type': 'application/json',
        prefer: 'wait=10',
        ...headers,
      },
      body: JSON.stringify(body),
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
    if (answer.statusCode === 202) await this.#served(String(answer.headers['heliograph-revision']));
    return { headers: answer.headers, body: JSON.parse(text) as Record<string, unknown> };
  }

  async #served(revision: string): Promise<void> {
    const began = performance.now();
    for (;;) {
      const { body, statusCode } = await request(`${this.region.admin}/readyz?min=${revision}`);
      await body.dump();
      if (statusCode === 200) return;
      if (performance.now() - began > WAIT_MS) throw new Error(`${revision} was not served in ${WAIT_MS} ms`);
      await sleep(50);
    }
  }
}
