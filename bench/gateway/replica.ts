import { fileURLToPath } from 'node:url';
import { ask } from './ask.js';
import { freePort } from './ports.js';
import { type Server, startServer } from './server.js';
import type { MadeState } from './state.js';

const MAIN = fileURLToPath(new URL('../../apps/replica/src/main.js', import.meta.url));
const ENGINE = fileURLToPath(new URL('./node-http-engine.js', import.meta.url));

export const REGION = 'eu-west';

export interface ReplicaServer extends Server {
  /** where /validate is */
  admin: Server;
  /** the newest revision that all of its workers serve */
  revision(): Promise<number>;
}

/** A whole replica of the product, all its processes on the same cores. @param redis URL of its region's counters @param main of another build */
export async function startGatewayReplica(
  name: string,
  { directory, store, chain }: MadeState,
  cores: string,
  workers = 1,
  redis?: string,
  main = MAIN,
): Promise<ReplicaServer> {
  const [port, admin] = [await freePort(), await freePort()];
  const server = await startServer({
    name,
    command: process.execPath,
    args: [main],
    cores,
    port,
    env: {
      HELIO_ENVIRONMENT: 'prod',
      HELIO_REGION: REGION,
      HELIO_STATE_DIR: directory,
      HELIO_WORKERS: `${workers}`,
      HELIO_BIND: '127.0.0.1',
      HELIO_LOG_LEVEL: 'error',
      HELIO_POLL_SECONDS: '1',
      ARTIFACT_STORE: store,
      HELIO_TRUSTED_KEYS: chain.signer.publicKey,
      GATEWAY_PORT: `${port}`,
      ADMIN_PORT: `${admin}`,
      ...(redis === undefined ? {} : { REDIS_URL: redis }),
    },
    ready: () =>
      ask(admin, '/readyz').then(
        ({ status }) => status === 200,
        () => false,
      ),
  });
  return {
    ...server,
    observed: async () => histogramCount((await ask(admin, '/metrics')).body),
    admin: { ...server, port: admin },
    revision: async () => (JSON.parse((await ask(admin, '/status')).body) as { loaded: number }).loaded,
  };
}

function histogramCount(metrics: string): number {
  const counts = metrics.matchAll(/^heliograph_gateway_own_seconds_count(?:\{[^}]*\})? (\d+)/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** What limits a consumer where `rate-limiter-flexible` counts instead of leases. */
export interface FlexibleLimits {
  redis: string;
  /** `points` in `duration` seconds each; all of them together */
  limits: readonly { points: number; duration: number }[];
  /** whether who is over a limit is remembered, and refused without asking Redis */
  remember: boolean;
}

/** The product's `decide()` on the same state, behind node:http and in front of undici. */
export async function startNodeHttp(
  { directory }: MadeState,
  cores: string,
  { name = 'node:http + undici', flexible }: { name?: string; flexible?: FlexibleLimits } = {},
): Promise<Server> {
  const port = await freePort();
  const args = [ENGINE, `${port}`, directory, REGION, ...(flexible ? [JSON.stringify(flexible)] : [])];
  const server = await startServer({ name, command: process.execPath, args, cores, port });
  return { ...server, observed: async () => Number((await ask(port, '/observed')).body) };
}
