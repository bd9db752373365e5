import { LATENCY_BOUNDS_MS, type ReleaseCount } from '#model';

/** An API as a request knows it. */
interface ServedApi {
  readonly id: string;
  /** of its release, in hexadecimal */
  readonly digest: string;
}

/**
 * Counts what each release has answered, for the gates of promotions: one look-up on the path of a request. What the gateway
 * refused its caller is left out: it says nothing of the release.
 */
export class ReleaseTally {
  private counts = new Map<string, ReleaseCount>();

  /** @param status 0: the client broke it off */
  count(api: ServedApi | null, status: number, refused: boolean, ms: number): void {
    if (api === null || status < 200 || (refused && status < 500)) return;
    let count = this.counts.get(api.digest);
    if (!count) this.counts.set(api.digest, (count = newReleaseCount(api.id as ReleaseCount['api'], api.digest)));
    count.requests += 1;
    if (status >= 500) count.errors += 1;
    let bucket = 0;
    while (bucket < LATENCY_BOUNDS_MS.length && ms > (LATENCY_BOUNDS_MS[bucket] as number)) bucket += 1;
    count.latency[bucket] = (count.latency[bucket] as number) + 1;
  }

  /** What came since it was last taken. */
  take(): ReleaseCount[] {
    const taken = [...this.counts.values()];
    this.counts = new Map();
    return taken;
  }
}

export function newReleaseCount(api: ReleaseCount['api'], release: string): ReleaseCount {
  return { api, release, requests: 0, errors: 0, latency: [...LATENCY_BOUNDS_MS, 0].map(() => 0) };
}
