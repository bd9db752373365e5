import { callDemo } from './demo-api.js';

/** Where the demo is called. */
export interface Lane {
  id: string;
  environment: string;
  gateway: string;
  key: string;
}

/** Answers of a region. */
export interface Tally {
  /** below 400 */
  good: number;
  /** 500 and above */
  failed: number;
  /** all others, and calls without an answer */
  other: number;
}

export interface RegionTraffic {
  id: string;
  environment: string;
  /** since `run` */
  total: Tally;
  /** since `takeSecond` before */
  second: Tally;
  /** that gave the last answer; null: none has said */
  release: string | null;
}

/** Calls a second in each region. The plan of the demo allows 100. */
export const CALLS_PER_SECOND = 20;
/** A region that answers slowly is not asked more than this at a time. */
const MOST_PENDING = 20;

/** Steady traffic to all regions, and what they answer. */
export class Traffic {
  private readonly regions: (RegionTraffic & { lane: Lane; pending: number })[];

  constructor(lanes: readonly Lane[]) {
    this.regions = lanes.map((lane) => ({
      id: lane.id,
      environment: lane.environment,
      total: none(),
      second: none(),
      release: null,
      lane,
      pending: 0,
    }));
  }

  /** Until the signal fires. */
  run(signal: AbortSignal): void {
    const timer = setInterval(() => {
      for (const region of this.regions) if (region.pending < MOST_PENDING) void this.call(region, signal);
    }, 1000 / CALLS_PER_SECOND);
    signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  }

  /** What is known of each region; the next second begins. */
  takeSecond(): RegionTraffic[] {
    return this.regions.map((region) => {
      const { id, environment, second, release } = region;
      region.second = none();
      return { id, environment, second, release, total: { ...region.total } };
    });
  }

  /** Whether the region's newest answer came from the release and was a good one. */
  serves(id: string, release: string): boolean {
    const region = this.regions.find((one) => one.id === id);
    return region?.release === release && region.second.failed === 0 && region.second.good > 0;
  }

  private async call(region: (typeof this.regions)[number], signal: AbortSignal): Promise<void> {
    region.pending++;
    let kind: keyof Tally = 'other';
    try {
      const { status, release } = await callDemo(region.lane.gateway, region.lane.key, signal);
      kind = status < 400 ? 'good' : status < 500 ? 'other' : 'failed';
      region.release = release ?? region.release;
    } catch {
      if (signal.aborted) return; // nobody wants to know any more
    } finally {
      region.pending--;
    }
    region.second[kind]++;
    region.total[kind]++;
  }
}

function none(): Tally {
  return { good: 0, failed: 0, other: 0 };
}
