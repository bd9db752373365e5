import type { Forward, Respond } from '../gateway/decide/decision.js';

/** What was counted since it was last taken; flat, as there may be 100,000 subscriptions. */
export interface UsageTaken {
  /** subscription and application (null: an open API), API, admitted, refused by the rate, by the quota: in turns */
  counts: (string | number | null)[];
  /** keys and clients that were used: their ids on the chain in hexadecimal */
  keys: string[];
  clients: string[];
}

export const COUNT_WIDTH = 6;

interface Count {
  subscription: string | null;
  application: string | null;
  api: string;
  admitted: number;
  rateLimited: number;
  quotaExhausted: number;
}

/**
 * Counts requests as they are decided: those that limits let pass, and those they refuse. On the path of a request that is one
 * look-up, and another one of the credential.
 */
export class UsageTally {
  private subscriptions = new Map<string, Count>();
  private open = new Map<string, Count>();
  private keys = new Set<string>();
  private clients = new Set<string>();

  count(decision: Forward | Respond): void {
    const { api, consumer, route } = decision;
    const code = decision.kind === 'respond' ? decision.code : null;
    if (api === null || (code !== null && code !== 'rate_limited' && code !== 'quota_exhausted')) return;
    let count: Count | undefined;
    if (consumer !== null) {
      const { application, subscription, key, client } = consumer;
      count = this.subscriptions.get(subscription);
      if (!count) this.subscriptions.set(subscription, (count = newCount(subscription, application, api.id)));
      if (key !== null) this.keys.add(key);
      else if (client !== null) this.clients.add(client);
    } else {
      // a preflight is answered for routes of all kinds, and is nobody's request
      if (decision.kind === 'respond' && code === null && !route?.policies.mock) return;
      count = this.open.get(api.id);
      if (!count) this.open.set(api.id, (count = newCount(null, null, api.id)));
    }
    if (code === null) count.admitted += 1;
    else if (code === 'rate_limited') count.rateLimited += 1;
    else count.quotaExhausted += 1;
  }

  take(): UsageTaken {
    const counts: UsageTaken['counts'] = [];
    for (const from of [this.subscriptions, this.open])
      for (const { subscription, application, api, admitted, rateLimited, quotaExhausted } of from.values())
        counts.push(subscription, application, api, admitted, rateLimited, quotaExhausted);
    const taken = { counts, keys: [...this.keys].map(hex), clients: [...this.clients].map(hex) };
    this.subscriptions = new Map();
    this.open = new Map();
    this.keys = new Set();
    this.clients = new Set();
    return taken;
  }
}

function newCount(subscription: string | null, application: string | null, api: string): Count {
  return { subscription, application, api, admitted: 0, rateLimited: 0, quotaExhausted: 0 };
}

const hex = (id: string): string => Buffer.from(id, 'latin1').toString('hex');
