import { until } from '#harness';
import type { PromotionView } from '../promotions/promotions.endpoints.js';
import { good, settle } from './answers.js';
import { type StartedApp, startApp } from './start-app.js';

type Call = StartedApp['call'];

/** A gate on numbers that nothing is asked of. */
export const UNSEEN = { minRequests: 0 };

/** A master with `dev`, `staging` and `prod`, and releases of two APIs that serve in `dev` and `staging`. */
export class PromotionScene {
  private constructor(
    readonly app: StartedApp,
    /** digests by API, the oldest first */
    readonly releases: Record<string, [string, string, string]>,
  ) {}

  static async start(): Promise<PromotionScene> {
    const app = await startApp();
    await settle(app, { prod: ['eu-west', 'us-east', 'ap-south'], staging: ['stage'], dev: ['lab'] });
    const releases: Record<string, [string, string, string]> = {};
    for (const name of ['weather', 'climate']) {
      const api = `${name}:v1`;
      await good(app.call('POST', '/v1/apis', { name, version: 'v1' }));
      const make = async (n: number): Promise<string> => {
        const definition = {
          routes: [{ method: 'GET', path: '/today' }],
          upstream: { targets: [{ url: `http://127.0.0.1:${n}` }] },
          security: 'open',
          plans: [],
        };
        return (await good(app.call('POST', `/v1/apis/${api}/releases`, { definition }))).digest;
      };
      releases[api] = [await make(1), await make(2), await make(3)];
    }
    return new PromotionScene(app, releases);
  }

  release(n: number, api = 'weather:v1'): string {
    return this.releases[api]?.[n] ?? '';
  }

  /** Puts placements as they are to be, past all rules. */
  async placed(environment: string, places: Record<string, string | null>): Promise<void> {
    const items = Object.entries(places).map(([place, release]) => {
      const [api, region] = place.split('@');
      return { api, region, release };
    });
    await good(this.app.call('POST', '/v1/placements', { environment, items, reason: 'the scene' }));
  }

  promote(body: object): ReturnType<StartedApp['call']> {
    return this.app.call('POST', '/v1/promotions', { api: 'weather:v1', to: 'prod', ...body });
  }

  /** @param call as whom; default: the admin who asks for promotions */
  act(id: string, what: string, body: object = { reason: 'a test' }, call?: Call): ReturnType<Call> {
    const path = `/v1/promotions/${id}/${what}`;
    return call ? call('POST', path, body) : this.app.call('POST', path, body);
  }

  async get(id: string): Promise<PromotionView> {
    return good(this.app.call('GET', `/v1/promotions/${id}`));
  }

  /** Waits for a state. */
  async is(id: string, state: string): Promise<PromotionView> {
    let last: PromotionView | undefined;
    try {
      return await until(async () => (last = await this.get(id)).state === state && last, {
        what: state,
        within: 20_000,
      });
    } catch (error) {
      throw new Error(`the promotion is ${JSON.stringify(last)}`, { cause: error });
    }
  }

  /** `api@region`: release, of an environment. */
  async placements(environment = 'prod'): Promise<Record<string, string>> {
    const rows: { place: string; release: string }[] = await this.app.source.query(
      `SELECT api_id || '@' || region AS place, encode(digest, 'hex') AS release FROM placement WHERE environment_id = $1 ORDER BY 1`,
      [environment],
    );
    return Object.fromEntries(rows.map(({ place, release }) => [place, release]));
  }

  async root(environment = 'prod'): Promise<string> {
    return (await good(this.app.call('GET', `/v1/environments/${environment}/head`))).root;
  }

  /** `placement.create weather:v1@eu-west`, in order. */
  async placingsAudited(id: string): Promise<string[]> {
    const rows: { line: string }[] = await this.app.source.query(
      `SELECT action || ' ' || split_part(target, '/', 3) || '@' || split_part(target, '/', 4) AS line
       FROM audit WHERE actor = $1 AND action LIKE 'placement.%' ORDER BY id`,
      [`promotion/${id}`],
    );
    return rows.map(({ line }) => line);
  }
}
