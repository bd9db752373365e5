import { setTimeout as sleep } from 'node:timers/promises';
import { type MasterApi, MasterError } from '../master-api.js';
import type { Summary } from '../summary.js';
import { DEMO_API, newRelease } from './demo-api.js';
import { lineOf, newsOf, screenOf } from './demo-view.js';
import { follow } from './follow.js';
import { promote, type Promotion } from './promote.js';
import type { Screen } from './screen.js';
import { type Stage, stagesOf } from './stages.js';
import { type RegionTraffic, Traffic } from './traffic.js';

const SECOND_MS = 1_000;
/** A pipe gets a line when something changes, and else every so many seconds. */
const LINE_SECONDS = 5;
const SERVES_WITHIN_MS = 10_000;
const POLL_MS = 100;
const PROD = 'prod';

/** A release of the demo on its way through the environments. */
export class DemoRun {
  private readonly traffic: Traffic;
  private readonly promotions = new Map<string, Promotion>();
  private stages: Stage[] = [];
  private stage: Stage | undefined;
  private toldPhase = '';
  private seconds = 0;

  constructor(
    private readonly api: MasterApi,
    private readonly system: Summary,
    private readonly screen: Screen,
    private readonly interrupted: AbortSignal,
  ) {
    const { regions, demo } = system;
    this.traffic = new Traffic(regions.map((region) => ({ ...region, key: demo.keys[region.environment] ?? '' })));
  }

  /** @returns whether it ended as it should @throws Error in words for the user */
  async run(isBad: boolean): Promise<boolean> {
    this.stages = await stagesOf(this.api, this.system);
    if (isBad && !this.stages.some(({ to }) => to === PROD))
      throw new Error('the bad release fails in prod, and npm start runs without a region of prod');
    await this.refuseOpen();
    const releases = await this.api.all<unknown>(`/apis/${DEMO_API}/releases`);
    const number = releases.length + 1;
    const digest = await newRelease(this.api, { upstream: this.system.upstream, number, isBad });
    const kind = isBad ? ', whose upstream in prod answers 500' : '';
    this.screen.say(`release ${number} of ${DEMO_API}${kind}: ${digest}`);
    const done = new AbortController();
    this.traffic.run(done.signal);
    const timer = setInterval(() => this.show(), SECOND_MS);
    try {
      return await this.bring(digest, `${number}`, isBad);
    } finally {
      clearInterval(timer);
      done.abort();
    }
  }

  private async bring(digest: string, release: string, isBad: boolean): Promise<boolean> {
    for (const stage of this.stages) {
      this.stage = stage;
      const isBack = isBad && stage.to === PROD;
      const root = isBack ? await this.rootOf(stage.to) : '';
      const { state, because } = await this.promoted(stage, digest);
      if (this.interrupted.aborted) return false;
      if (isBack && state === 'rolled-back' && because?.gate === 'errors') return this.isAsBefore(stage, root);
      if (isBack || state !== 'completed') {
        this.screen.say(`${stage.to}: the promotion is ${state}, which is not how this was to end`);
        return false;
      }
    }
    return this.servesEverywhere(release);
  }

  private async promoted(stage: Stage, release: string): Promise<Promotion> {
    let told = '';
    const seen = (promotion: Promotion | null): void => {
      if (promotion) this.promotions.set(stage.to, promotion);
      const phase = promotion ? `${promotion.state} ${promotion.wave}` : 'away';
      const news = promotion ? newsOf(stage, promotion) : 'the master does not answer; regions go on serving';
      if (phase !== told && news !== null) this.screen.say(news);
      told = phase;
    };
    try {
      const { id } = await promote(this.api, { ...stage, release });
      return await follow(this.api, id, seen, this.interrupted);
    } catch (error) {
      if (error instanceof MasterError && error.code === 'promotion_open') await this.refuseOpen();
      throw error;
    }
  }

  /** Of another demo that runs, or that has left one behind, or of somebody else. @throws Error where one is open */
  private async refuseOpen(): Promise<void> {
    const { master, adminToken } = this.system;
    const [open] = await this.api.all<Promotion & { to: string }>(`/promotions?api=${DEMO_API}&state=open`);
    if (!open) return;
    const headers = `-H 'Authorization: Bearer ${adminToken}' -H 'Content-Type: application/json'`;
    const call = `curl -X POST ${master}/v1/promotions/${open.id}/abort ${headers} -d '{"reason":"left over"}'`;
    const what = `the promotion ${open.id} of ${DEMO_API} to ${open.to} is open (${open.state}): perhaps another npm run demo runs`;
    throw new Error(`${what}. Wait for its end, or, where nobody waits for it any more:\n  ${call}`);
  }

  private async servesEverywhere(release: string): Promise<boolean> {
    const deadline = Date.now() + SERVES_WITHIN_MS;
    const ids = this.system.regions.map(({ id }) => id);
    while (!ids.every((id) => this.traffic.serves(id, release))) {
      if (this.interrupted.aborted) return false;
      if (Date.now() > deadline) {
        this.screen.say(`release ${release} does not answer in each region`);
        return false;
      }
      await sleep(POLL_MS);
    }
    this.show();
    this.screen.say(`release ${release} serves in ${ids.join(', ')}`);
    return true;
  }

  /** After a rollback: what the state root says, and what callers have seen. */
  private async isAsBefore({ to, strategy }: Stage, before: string): Promise<boolean> {
    const after = await this.rootOf(to);
    const wave = strategy.waves[0] ?? [];
    const answers = this.traffic.takeSecond().filter(({ environment }) => environment === to);
    for (const { id, total } of answers)
      this.screen.say(`${id}: ${total.good} answers were good, ${total.failed} were 5xx`);
    this.screen.say(`state root of ${to} before: ${before}`);
    this.screen.say(`state root of ${to} after:  ${after}${after === before ? ', the same' : ''}`);
    const untouched = answers.filter(({ id }) => !wave.includes(id));
    return after === before && untouched.every(({ total }) => total.failed === 0);
  }

  private async rootOf(environment: string): Promise<string> {
    return (await this.api.get<{ root: string }>(`/environments/${environment}/head`)).root;
  }

  private show(): void {
    const regions = this.traffic.takeSecond();
    if (this.screen.isLive) this.screen.draw(screenOf(this.stages, this.promotions, regions));
    else this.line(regions);
  }

  private line(regions: readonly RegionTraffic[]): void {
    const promotion = this.stage && this.promotions.get(this.stage.to);
    const phase = `${this.stage?.to} ${promotion?.state} ${promotion?.wave}`;
    if (phase === this.toldPhase && this.seconds++ % LINE_SECONDS !== 0) return;
    this.toldPhase = phase;
    this.screen.say(lineOf(this.stage, promotion, regions));
  }
}
