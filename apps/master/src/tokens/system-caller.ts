import type { Caller } from '../http/request.js';

/** Who writes what nobody asked for: keys that rotate by themselves, entries that are forgotten. */
export const SYSTEM: Caller = { actor: 'system', role: 'admin', requestId: 'tokens', idempotency: null, ifMatch: null };
