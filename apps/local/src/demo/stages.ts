import type { MasterApi } from '../master-api.js';
import type { Summary } from '../summary.js';
import { environmentsOf } from '../topology.js';
import type { NewPromotion } from './promote.js';

/** One promotion of the demo. */
export type Stage = Omit<NewPromotion, 'release'>;

/** What a wave has to be asked before its gates decide: three seconds' worth of one region. */
const MIN_REQUESTS = 60;
/** Far off: all regions share this machine with everything else on it, and their latency says nothing of a release. */
const P95_FACTOR = 100;

/**
 * A promotion for each environment that runs, in the order of the pipeline: in `dev` at once, then by gates; one region first, then
 * all others. Regions that do not run are in no wave: nobody would acknowledge for them.
 */
export async function stagesOf(api: MasterApi, { regions }: Pick<Summary, 'regions'>): Promise<Stage[]> {
  const running = environmentsOf(regions);
  const pipeline = (await api.all<{ id: string }>('/environments')).map(({ id }) => id);
  return running.map((environment) => {
    const [first = '', ...others] = regions.filter((one) => one.environment === environment).map(({ id }) => id);
    const before = pipeline[pipeline.indexOf(environment) - 1];
    const isLeftOut = before !== undefined && !running.includes(before);
    return {
      to: environment,
      strategy: {
        waves: others.length > 0 ? [[first], others] : [[first]],
        soak: 0,
        gates: { minRequests: environment === 'dev' ? 0 : MIN_REQUESTS, p95Factor: P95_FACTOR },
      },
      ...(isLeftOut ? { skip: true, reason: `npm run demo: npm start runs without a region of ${before}` } : {}),
    };
  });
}
