import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AppProcess, Client, startApp, until } from '#harness';
import { checkPorts, portsFrom } from '../../apps/local/src/ports.js';
import type { Summary } from '../../apps/local/src/summary.js';

/** A home of its own for `npm start`, on ports of its own. */
export class LocalRig {
  readonly home = mkdtempSync(join(tmpdir(), 'heliograph-local-'));
  base = 0;
  system!: AppProcess;

  static async start(): Promise<LocalRig> {
    const rig = new LocalRig();
    rig.base = await freeBase();
    await rig.start();
    return rig;
  }

  /** Of `npm start`, or of `npm run demo` where the first argument is `demo`. */
  launch(args: string[] = [], env: Record<string, string> = {}): Promise<AppProcess> {
    const own = { HELIO_HOME: this.home, HELIO_PORT_BASE: `${this.base}` };
    return startApp({ app: 'local', args, env: { ...own, ...env } });
  }

  /** Until it is ready. */
  async start(args: string[] = []): Promise<void> {
    const system = await this.launch(args);
    this.system = system;
    let ended: string | undefined;
    void system.exited.then((how) => (ended = how));
    // not the file: one that was killed has left it
    const look = () => ended ?? system.output().includes('Heliograph is ready');
    await until(look, { within: 180_000, what: 'npm start to be ready' });
    if (ended !== undefined) throw new Error(`npm start has ended (${ended}):\n${system.output()}`);
  }

  get summary(): Summary {
    return JSON.parse(readFileSync(join(this.home, 'local.json'), 'utf8')) as Summary;
  }

  /** With the token of the admin. */
  get client(): Client {
    const { master, adminToken } = this.summary;
    return new Client(master, adminToken);
  }

  /** @param region its place in `local.json` */
  callDemo(region: number): Promise<Response> {
    const { regions, demo } = this.summary;
    const { gateway, environment } = regions[region]!;
    const headers = { 'X-API-Key': demo.keys[environment]! };
    return fetch(`${gateway}${new URL(demo.url).pathname}`, { headers });
  }

  /** Which release of the demo answers in each region that runs: `eu-west 200 1`. */
  answers(): Promise<string[]> {
    const one = async ({ id }: { id: string }, at: number): Promise<string> => {
      const { status, headers } = await this.callDemo(at);
      return `${id} ${status} ${headers.get('x-demo-release')}`;
    };
    return Promise.all(this.summary.regions.map(one));
  }

  async stop(): Promise<void> {
    await this.system?.stop();
    rmSync(this.home, { recursive: true });
  }
}

/** A base whose ports are all free: above those of `freePorts`, below those that the system gives by itself. */
export async function freeBase(): Promise<number> {
  for (;;) {
    const candidate = 23_000 + Math.floor(Math.random() * 8_000);
    const isFree = await checkPorts(portsFrom(candidate), 0).then(
      () => true,
      () => false,
    );
    if (isFree) return candidate;
  }
}
