import { type LookupAddress, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { Logger } from '#platform';

/** Addresses are asked for again when they are as old as this and somebody needs them. getaddrinfo tells no lifetime. */
const PERIOD_MS = 5000;
/** A name that was asked for so long ago and is not answered yet is waited for by nobody else. */
const HANG_MS = 5000;

/** Asks for all addresses of a name, once. */
export type Resolve = (host: string, done: (error: Error | null, addresses: LookupAddress[]) => void) => void;

/** As the machine does it, /etc/hosts and search domains included; one thread for each name that is asked for. */
export const resolveBySystem: Resolve = (host, done) => lookup(host, { all: true }, done);

interface Name {
  /** another list only when other addresses are in it; empty: none were ever known */
  addresses: readonly LookupAddress[];
  resolvedAt: number;
  /** since when it is asked for; -1: it is not */
  askedAt: number;
  waiting: ((error: Error | null) => void)[];
  turn: number;
  failing: boolean;
}

/**
 * Addresses of upstreams' names. Asked for once at a time, and never by a request whose name has addresses already: these
 * are used until others come, also when the name is not known any more or nobody answers.
 */
export class AddressBook {
  private readonly names = new Map<string, Name>();

  /** @param now monotonic milliseconds */
  constructor(
    private readonly resolve: Resolve,
    private readonly now: () => number,
    private readonly log: Logger,
  ) {}

  /** For sockets: all addresses, each time beginning with another, so that connections spread over them. */
  readonly lookup: LookupFunction = (host, { all }, callback) => {
    const give = (error: Error | null): void => {
      const addresses = error ? [] : this.rotated(host);
      const [first] = addresses;
      if (error || !first) callback(error ?? new Error(`${host} has no address`), '', 0);
      else if (all) callback(null, addresses);
      else callback(null, first.address, first.family);
    };
    const name = this.nameOf(host);
    if (this.current(host).length > 0) {
      process.nextTick(give, null);
      return;
    }
    const now = this.now();
    if (name.askedAt >= 0 && now - name.askedAt > HANG_MS) {
      process.nextTick(give, new Error(`nobody answers what the addresses of ${host} are`));
      return;
    }
    name.waiting.push(give);
    this.ask(host, name, now);
  };

  /** Addresses that are known; asked for again if they are old. Empty: none are known, or it is no name. */
  current(host: string): readonly LookupAddress[] {
    const name = this.names.get(host);
    if (!name) return [];
    const now = this.now();
    if (name.addresses.length > 0 && now - name.resolvedAt >= PERIOD_MS) this.ask(host, name, now);
    return name.addresses;
  }

  /** @param used names that are still needed */
  forgetBut(used: ReadonlySet<string>): void {
    for (const [host, { askedAt }] of this.names) if (!used.has(host) && askedAt < 0) this.names.delete(host);
  }

  private nameOf(host: string): Name {
    let name = this.names.get(host);
    if (!name) {
      name = { addresses: [], resolvedAt: 0, askedAt: -1, waiting: [], turn: 0, failing: false };
      this.names.set(host, name);
    }
    return name;
  }

  private rotated(host: string): LookupAddress[] {
    const name = this.nameOf(host);
    const { addresses } = name;
    if (addresses.length < 2) return [...addresses];
    const from = name.turn % addresses.length;
    name.turn = from + 1;
    return [...addresses.slice(from), ...addresses.slice(0, from)];
  }

  private ask(host: string, name: Name, now: number): void {
    if (name.askedAt >= 0) return;
    name.askedAt = now;
    this.resolve(host, (error, addresses) => {
      name.askedAt = -1;
      name.resolvedAt = this.now();
      this.learn(host, name, error, addresses);
      const { waiting } = name;
      name.waiting = [];
      const none = error ?? (addresses.length === 0 ? new Error(`${host} has no address`) : null);
      for (const tell of waiting) tell(name.addresses.length > 0 ? null : none);
    });
  }

  private learn(host: string, name: Name, error: Error | null, addresses: LookupAddress[]): void {
    const failing = error !== null || addresses.length === 0;
    if (failing && !name.failing && name.addresses.length > 0)
      this.log.warn({ err: error, host }, 'a name of an upstream is not known any more; its last addresses go on');
    name.failing = failing;
    if (!failing && !sameAddresses(name.addresses, addresses)) name.addresses = addresses;
  }
}

function sameAddresses(a: readonly LookupAddress[], b: readonly LookupAddress[]): boolean {
  return a.length === b.length && a.every(({ address }) => b.some((other) => other.address === address));
}
