import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { type PromotionWorld, REGIONS, type Region } from './world.js';

/** What callers have seen of one API in one region, in milliseconds of the clock of this machine. */
export interface Seen {
  answers: number;
  /** when the new release answered first, at the earliest */
  newFirst: number;
  /** when the last request was sent that the new release, and the one before, has answered */
  newLast: number;
  oldLast: number;
}

const EVERY_MS = 150;
const ANSWER_MS = 5_000;

/** Callers of all regions, who go on when nobody answers. */
export class Traffic {
  private readonly agent = new Agent({ headersTimeout: ANSWER_MS, bodyTimeout: ANSWER_MS });
  private readonly seen = new Map<string, Seen>();
  private readonly stopping = new AbortController();
  private readonly callers: Promise<void>[] = [];

  constructor(private readonly world: PromotionWorld) {
    setMaxListeners(0, this.stopping.signal); // a caller each
  }

  /** Calls an API in every region from now on. */
  add(api: string): void {
    for (const region of REGIONS) this.callers.push(this.call(api, region));
  }

  of(api: string, region: Region): Seen {
    const known = this.seen.get(`${api} ${region}`);
    if (known) return known;
    const nothing = { answers: 0, newFirst: Number.POSITIVE_INFINITY, newLast: 0, oldLast: 0 };
    this.seen.set(`${api} ${region}`, nothing);
    return nothing;
  }

  private async call(api: string, region: Region): Promise<void> {
    const path = `/${api.replace(':', '/')}/`;
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const sentAt = Date.now();
      // a gateway that was killed answers nothing
      const release = await this.ask(`${this.world.replicas[region].gateway}${path}`).catch(() => null);
      const seen = this.of(api, region);
      if (release !== null) seen.answers += 1;
      if (release === 'second') {
        seen.newFirst = Math.min(seen.newFirst, Date.now());
        seen.newLast = sentAt;
      } else if (release !== null) seen.oldLast = sentAt; // 404 is what was there, too, where that was nothing
      await sleep(EVERY_MS * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined);
    }
  }

  private async ask(url: string): Promise<string> {
    const { headers, body } = await request(url, { dispatcher: this.agent });
    await body.dump();
    return String(headers['x-release'] ?? 'nothing');
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await Promise.all(this.callers);
    await this.agent.close();
  }
}
