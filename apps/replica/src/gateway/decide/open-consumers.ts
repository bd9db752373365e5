import { parseIpAddress } from './ip-address.js';

/** Names of clients that are kept; a name is made anew in about a microsecond. */
const KEPT = 4096;
/** What is no address is one client, all together. */
const NO_ADDRESS = '?';

/** Who the consumers of an API's open routes are: addresses of clients. Of IPv6 a /64, which is what one client is given. */
export class OpenConsumers {
  private readonly names = new Map<string, string>();

  /** @param plan by which they are limited */
  constructor(
    private readonly api: string,
    readonly plan: string,
  ) {}

  /** @param address as text */
  nameOf(address: string): string {
    let name = this.names.get(address);
    if (name === undefined) {
      name = `c:${this.api}:${clientOf(address)}`;
      if (this.names.size >= KEPT) this.names.clear();
      this.names.set(address, name);
    }
    return name;
  }
}

function clientOf(text: string): string {
  const address = parseIpAddress(text);
  if (address === null) return NO_ADDRESS;
  if (typeof address === 'bigint') return `${(address >> 64n).toString(16).padStart(16, '0')}/64`;
  return [24, 16, 8, 0].map((bits) => (address >>> bits) & 255).join('.');
}
