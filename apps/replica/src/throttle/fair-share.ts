import type { Bucket } from '#throttle';

/** Workers of a region in an order that all of its nodes know: those of nodes before this one, its own, and all. */
export interface Share {
  before: number;
  own: number;
  all: number;
}

/** Of the workers of a region by node. @param own workers of this one, which counts also when it is not among them */
export function shareOf(nodes: ReadonlyMap<string, number>, node: string, own: number): Share {
  let before = 0;
  let all = own;
  for (const [name, workers] of nodes) {
    if (name === node) continue;
    all += workers;
    if (name < node) before += workers;
  }
  return { before, own, all };
}

/**
 * This node's part of a number of tokens. The parts of all nodes come to the number exactly: each ends where the next one
 * begins. Where they begin depends on the name, so that of many small limits not all fall to the same node.
 */
export function partOf(total: number, name: string, { before, own, all }: Share): number {
  if (own === all) return total;
  const offset = hash(name) % all;
  // whole rounds and the rest apart, so that no product exceeds 2^53
  const rest = total % all;
  const upTo = (workers: number): number => Math.floor((rest * workers + offset) / all);
  return ((total - rest) / all) * own + upTo(before + own) - upTo(before);
}

const HOURLY = { second: 3600, minute: 60, hour: 1 } as const;

/** This node's part of a limit; null: it has none. A part of a rate is told by the hour, so that little is lost by rounding. */
export function partOfLimit(bucket: Bucket, share: Share): Bucket | null {
  if (share.own === share.all) return bucket;
  const { name } = bucket;
  if (bucket.kind === 'quota') {
    const limit = partOf(bucket.limit.limit, name, share);
    return limit > 0 ? { ...bucket, limit: { ...bucket.limit, limit } } : null;
  }
  const { limit, per, burst = limit } = bucket.limit;
  const part = partOf(limit * HOURLY[per], name, share);
  const burstPart = partOf(burst, name, share);
  return part > 0 && burstPart > 0 ? { ...bucket, limit: { limit: part, per: 'hour', burst: burstPart } } : null;
}

/** FNV-1a */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
