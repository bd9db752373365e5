import { isIPv6 } from 'node:net';

const WINDOW_MS = 60_000;
/** Failures of one client from one address, and of whatever clients from one address, in a window. */
const MOST = { ofClient: 10, ofAddress: 300 } as const;
/** Bounds memory: some megabytes. */
const MOST_ENTRIES = 10_000;

/**
 * Bounds how often somebody may fail to authenticate, so that guessing costs the guesser and not the database. Whoever was
 * authentic with the same secret before is let through all the same: a guesser does not lock out clients that run.
 */
export class FailureBook {
  private readonly failures = new Map<string, { count: number; until: number }>();
  /** clients with the hash of a secret that was right */
  private readonly good = new Map<string, true>();

  /** @param now milliseconds @returns seconds to wait, 0 for none */
  wait(address: string, client: string, secretHash: Buffer, now: number): number {
    if (this.good.has(nameOf(client, secretHash))) return 0;
    const block = addressBlock(address);
    const ends = [this.endOf(`${block} ${client}`, MOST.ofClient, now), this.endOf(block, MOST.ofAddress, now)];
    return Math.ceil(Math.max(0, Math.max(...ends) - now) / 1000);
  }

  /** @returns whether this was the last one that was let through */
  failed(address: string, client: string, secretHash: Buffer, now: number): boolean {
    const block = addressBlock(address);
    this.good.delete(nameOf(client, secretHash));
    this.count(block, now);
    return this.count(`${block} ${client}`, now) === MOST.ofClient;
  }

  succeeded(client: string, secretHash: Buffer): void {
    put(this.good, nameOf(client, secretHash), true);
  }

  private endOf(key: string, most: number, now: number): number {
    const entry = this.failures.get(key);
    return entry && entry.count >= most && entry.until > now ? entry.until : 0;
  }

  private count(key: string, now: number): number {
    const entry = this.failures.get(key);
    const next =
      entry && entry.until > now ? { ...entry, count: entry.count + 1 } : { count: 1, until: now + WINDOW_MS };
    put(this.failures, key, next);
    return next.count;
  }
}

const nameOf = (client: string, secretHash: Buffer): string => `${client} ${secretHash.toString('latin1')}`;

/** The oldest makes room. */
function put<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  if (map.size >= MOST_ENTRIES) map.delete(map.keys().next().value ?? '');
  map.set(key, value);
}

/** An IPv6 network is one address: whoever has it has all of its 2^64. */
function addressBlock(address: string): string {
  if (!isIPv6(address) || /^::ffff:\d+\./i.test(address)) return address;
  const [head = [], tail = []] = (address.split('%')[0] ?? '')
    .split('::')
    .map((part) => part.split(':').filter((group) => group !== ''));
  const zeros = Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0');
  const network = [...head, ...zeros, ...tail].slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(':')}::/64`;
}
