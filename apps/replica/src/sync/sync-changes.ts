import type { Fault, FaultKey, Link, Moment, SourceSync, Sync, SyncFault } from './sync.js';

export function linked(sync: Sync, link: Link): Sync {
  return { ...sync, stream: { ...sync.stream, link } };
}

export function changed(sync: Sync, source: number, change: Partial<SourceSync>): Sync {
  return { ...sync, sources: sync.sources.map((one, at) => (at === source ? { ...one, ...change } : one)) };
}

export function without(sync: Sync, ...keys: FaultKey[]): Sync {
  if (keys.every((key) => !sync.faults[key])) return sync;
  const faults: Partial<Record<FaultKey, SyncFault>> = { ...sync.faults };
  for (const key of keys) delete faults[key];
  return { ...sync, faults };
}

/** The same fault as before keeps its time. */
export function wrong(sync: Sync, key: FaultKey, { code, detail }: Fault, { now }: Moment): Sync {
  const before = sync.faults[key];
  if (before?.code === code && before.detail === detail) return sync;
  return { ...sync, faults: { ...sync.faults, [key]: { code, detail, at: now } } };
}

/** Nothing is known to be wrong with what this disk holds. */
export function whole(sync: Sync): Sync {
  return { ...without(sync, 'state'), mend: null };
}
