import { type AppProcess, startApp } from './app-process.js';
import { freePorts } from './free-ports.js';

export interface ReplicaOptions {
  environment: string;
  region: string;
  /** a directory of its own */
  stateDir: string;
  /** default: free ones */
  ports?: { gateway: number; admin: number };
  /** default: 1 */
  workers?: number;
  /** where its chain comes from and whom it believes: the variables of the replica that the others do not say */
  env: Record<string, string>;
  /** When it counts as started: has state to serve (default), or answers at all. */
  until?: 'ready' | 'listening';
}

export interface Replica extends AppProcess {
  /** `http://127.0.0.1:<port>`, for callers */
  gateway: string;
  /** `http://127.0.0.1:<port>`, for `/status`, `/readyz` and `/metrics` */
  admin: string;
  /** Starts another process in place of one that has gone: same directory, same ports; `env` on top of its variables. */
  again: (env?: Record<string, string>) => Promise<Replica>;
}

/** A real replica in its own process; looks for news every second. */
export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  const { environment, region, stateDir, workers = 1, env } = options;
  const ports = options.ports ?? (await freePortPair());
  const admin = `http://127.0.0.1:${ports.admin}`;
  const app = await startApp({
    app: 'replica',
    env: {
      HELIO_ENVIRONMENT: environment,
      HELIO_REGION: region,
      HELIO_STATE_DIR: stateDir,
      HELIO_WORKERS: `${workers}`,
      HELIO_BIND: '127.0.0.1',
      HELIO_POLL_SECONDS: '1',
      GATEWAY_PORT: `${ports.gateway}`,
      ADMIN_PORT: `${ports.admin}`,
      ...env,
    },
    ready: async () => {
      const { status } = await fetch(`${admin}/readyz`);
      return status === 200 || options.until === 'listening';
    },
  });
  const again = (more?: Record<string, string>) => startReplica({ ...options, ports, env: { ...env, ...more } });
  return { ...app, gateway: `http://127.0.0.1:${ports.gateway}`, admin, again };
}

async function freePortPair(): Promise<{ gateway: number; admin: number }> {
  const [gateway = 0, admin = 0] = await freePorts(2);
  return { gateway, admin };
}
