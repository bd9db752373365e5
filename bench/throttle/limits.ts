import { LIMIT } from '../gateway/world.js';

const ampleRate = { limit: LIMIT, per: 'hour' };
const ampleQuota = { limit: LIMIT, per: 'month' };

/** Plans that count and never refuse, from none to all that one can have. */
export const AMPLE = {
  'no limits': { rate: null, quota: null },
  rate: { rate: ampleRate, quota: null },
  'rate + quota': { rate: ampleRate, quota: ampleQuota },
  'rate + quota, by route and by API too': {
    rate: ampleRate,
    quota: ampleQuota,
    perRoute: { rate: ampleRate },
    perApi: { rate: ampleRate },
  },
} as const;
export type AmpleName = keyof typeof AMPLE;

/** The same for `rate-limiter-flexible`: its windows begin with the first request. */
const FLEXIBLE_RATE = { points: LIMIT, duration: 3600 };
export const FLEXIBLE_AMPLE = {
  rate: [FLEXIBLE_RATE],
  'rate + quota': [FLEXIBLE_RATE, { points: LIMIT, duration: 30 * 86_400 }],
} as const;
