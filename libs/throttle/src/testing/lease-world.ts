import { LeaseBook } from '../lease/lease-book.js';
import type { Claim, Limits } from '../lease/limits.js';
import type { CounterStore } from '../store/counter-store.js';
import { LocalCounterStore } from '../store/local-counter-store.js';

const START = Date.parse('2026-05-02T12:00:00Z');

export const claimOf = (consumer: string, route = 'r', api = 'weather:v1'): Claim => ({ consumer, route, api });

/** A plan. */
export function limitsOf(consumer: Partial<Limits['consumer']>, more: Partial<Limits> = {}): Limits {
  return { plan: 'gold', consumer: { rate: null, quota: null, ...consumer }, route: null, api: null, ...more };
}

export const perSecond = (limit: number, burst = limit) => ({ limit, per: 'second' as const, burst });
export const perDay = (limit: number) => ({ limit, per: 'day' as const });

/** Holders of one store in a time that stands still until a test moves it. */
export class LeaseWorld {
  ms = 0;
  readonly calls = { take: 0, give: 0 };
  readonly store: LocalCounterStore;
  /** answers wait for this; null: they come at once */
  held: (() => void)[] | null = null;

  /** @param holders that share what is lent */
  constructor(holders = 1) {
    const clock = { wallMs: () => START + this.ms, monotonicMs: () => this.ms };
    this.store = new LocalCounterStore(clock, () => holders);
  }

  book(): LeaseBook {
    const { store, calls } = this;
    const counted: CounterStore = {
      take: async (bucket, wish) => {
        calls.take += 1;
        const grant = store.takeNow(bucket, wish);
        const { held } = this;
        if (held) await new Promise<void>((resolve) => held.push(resolve));
        return grant;
      },
      give: (bucket, unused, lease) => {
        calls.give += 1;
        store.give(bucket, unused, lease);
      },
    };
    return new LeaseBook(counted, () => this.ms);
  }

  /** Lets the answers come that are on their way, and none wait from now on. */
  async deliver(): Promise<void> {
    const { held } = this;
    this.held = null;
    for (const resolve of held ?? []) resolve();
    await turns();
  }
}

/** Long enough for questions to be put, answered and tidied up. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** One request: whether it was admitted, and if not, by which limit. */
export async function request(book: LeaseBook, limits: Limits, claim = claimOf('s')): Promise<string> {
  for (;;) {
    const spending = book.spend(limits, claim);
    if (spending.kind === 'spent') return 'spent';
    if (spending.kind === 'refused') {
      const { scope, bucket } = spending.by;
      return scope === 'consumer' ? bucket.kind : `${scope} ${bucket.kind}`;
    }
    await book.fetch(limits, claim);
  }
}

/** So many at the same time. */
export async function requests(count: number, ...args: Parameters<typeof request>): Promise<number> {
  const results = await Promise.all(Array.from({ length: count }, () => request(...args)));
  return results.filter((result) => result === 'spent').length;
}
