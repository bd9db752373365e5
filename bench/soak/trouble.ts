import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger } from './ledger.js';
import { countedBy, workersOf } from './node.js';
import { FAULTS } from './upstreams.js';
import type { World } from './world.js';

const LIVE_KEYS = 30;
export const WORKERS = 2;

/** What happens to the system while it serves. */
export class Trouble {
  /** requests that killed workers had answered and not told of */
  gone = 0;
  /** how far off that may be */
  unsure = 0;
  readonly done = { keys: 0, releases: 0, kills: 0, faults: 0 };

  constructor(
    private readonly world: World,
    private readonly ledger: Ledger,
  ) {}

  /** Issues a key, or revokes one. */
  async changeKeys(): Promise<void> {
    const live = this.world.keys.filter(({ state }) => state.newest === 'good');
    const victim = live[randomInt(Math.max(1, live.length))];
    if (victim && live.length >= LIVE_KEYS) await this.world.revoke(victim);
    else await this.world.issue();
    this.done.keys += 1;
  }

  async moveRelease(): Promise<void> {
    await this.world.moveRelease();
    this.done.releases += 1;
  }

  /** @param youngest so that the other one gets old */
  async killWorker(youngest: boolean): Promise<void> {
    const { region } = this.world;
    const workers = await workersOf(region, WORKERS);
    workers.sort((a, b) => Number(a.name) - Number(b.name));
    const victim = youngest ? workers.at(-1) : workers[randomInt(workers.length)];
    if (!victim) return;
    const before = await countedBy(region, WORKERS);
    const [answered, open] = [this.ledger.answered, this.ledger.open.size];
    this.ledger.kills.push(performance.now());
    process.kill(victim.pid, 'SIGKILL');
    await sleep(200);
    await workersOf(region, WORKERS);
    const after = await countedBy(region, WORKERS);
    this.gone += before.requests - after.requests + (this.ledger.answered - answered);
    this.unsure += open + this.ledger.open.size + (this.ledger.unanswered > 0 ? WORKERS : 0);
    this.done.kills += 1;
  }

  /** One upstream of two or both, for some seconds. */
  async faultUpstreams(stop: AbortSignal): Promise<void> {
    const { fault, faulty } = this.world;
    const kind = FAULTS[randomInt(FAULTS.length)] ?? 'reset';
    const some = randomInt(2) === 0 ? faulty : faulty.slice(0, 1);
    fault.change(kind)();
    for (const upstream of some) await upstream.set(kind);
    await sleep(randomInt(2000, 8000), undefined, { signal: stop }).catch(() => undefined);
    for (const upstream of some) await upstream.set(null);
    fault.change(null)();
    this.done.faults += 1;
  }
}
