import type { Definition } from '#model';
import type { CacheHit } from '../gateway/decide/cache/stored-answer.js';
import { ResponseCache } from '../gateway/decide/cache/response-cache.js';
import type { Forward } from '../gateway/decide/decision.js';
import { Decider, forwarded, NOW } from './decider.js';
import { headOf } from './request-heads.js';

export type Fields = Record<string, string | string[]>;

/** When an upstream answered, of which nothing else is said. */
export const DATE = new Date(NOW).toUTCString();

/** A response cache in front of an upstream that answers as a test says, with clocks that stand still. */
export class KeptAnswers {
  readonly decider = new Decider();
  readonly cache: ResponseCache;
  /** monotonic milliseconds */
  now = 1_000_000;
  scheme: 'http' | 'https' = 'http';

  constructor(capacity = 1024 * 1024) {
    this.cache = new ResponseCache(capacity);
  }

  load(definition: Partial<Definition> = {}): void {
    this.decider.load({
      security: 'open',
      routes: [{ method: '*', path: '/*' }],
      policies: { cache: { ttlSeconds: 60 } },
      ...definition,
    });
  }

  /** What is kept for this request, as `status body`; null: the upstream has to be asked. */
  kept(path: string, headers: Fields = {}, method = 'GET'): string | null {
    const hit = this.hit(path, headers, method);
    return hit && `${hit.status} ${hit.body.toString()}`;
  }

  hit(path: string, headers: Fields = {}, method = 'GET'): CacheHit | null {
    const [head, forward] = this.decided(path, headers, method);
    return this.cache.lookup(head, forward, this.now);
  }

  /** A request that goes upstream, and its whole answer. @returns whether that was written down */
  answer(
    path: string,
    answer: Fields,
    { method = 'GET', headers = {}, status = 200, body = path, waitedMs = 0 }: Partial<Asked> = {},
  ): boolean {
    const recording = this.record(
      path,
      { 'content-length': String(body.length), ...answer },
      { method, headers, status, waitedMs },
    );
    recording?.write(Buffer.from(body));
    recording?.end();
    return recording !== null;
  }

  record(
    path: string,
    answer: Fields,
    { method = 'GET', headers = {}, status = 200, waitedMs = 0 }: Partial<Asked> = {},
  ) {
    const [head, forward] = this.decided(path, headers, method);
    const list = Object.entries(answer).flatMap(([name, value]) => [value].flat().flatMap((one) => [name, one]));
    const times = { sentAt: this.now - waitedMs, now: this.now, wallMs: NOW };
    return this.cache.record(head, forward, { status, headers: list }, times);
  }

  private decided(path: string, headers: Fields, method: string): [ReturnType<typeof headOf>, Forward] {
    const given = { host: 'api.example.com', ...headers };
    const target = `/weather/v1${path}`;
    const head = { ...headOf(method, target, given), scheme: this.scheme };
    return [head, forwarded(this.decider.run(method, target, given))];
  }
}

interface Asked {
  method: string;
  headers: Fields;
  status: number;
  body: string;
  /** between the request and its answer */
  waitedMs: number;
}
