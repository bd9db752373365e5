import { type IpAddress, parseIpAddress } from './ip-address.js';

interface Range<T extends IpAddress> {
  first: T;
  last: T;
}

/**
 * Addresses and CIDR blocks of both families, apart from each other: `::/0` is all of IPv6 and nothing of IPv4. Not
 * net.BlockList, which takes 8 us for an address and longer the more blocks it has; this takes one binary search.
 */
export class IpList {
  private readonly v4: readonly Range<number>[];
  private readonly v6: readonly Range<bigint>[];

  /** @throws TypeError for what is no address and no block */
  constructor(entries: readonly string[]) {
    const v4: Range<number>[] = [];
    const v6: Range<bigint>[] = [];
    for (const entry of entries) {
      const [text = '', bits] = entry.split('/');
      const address = parseIpAddress(text);
      if (address === null) throw new TypeError(`${entry} is neither an address nor a CIDR block`);
      if (typeof address === 'bigint') v6.push(blockOfV6(address, bits === undefined ? 128 : Number(bits)));
      // a block of mapped addresses says how many of 128 bits; fewer than 96 would be all of IPv4 and more
      else v4.push(blockOfV4(address, bits === undefined ? 32 : Number(bits) - (text.includes(':') ? 96 : 0)));
    }
    this.v4 = merged(v4);
    this.v6 = merged(v6);
  }

  has(address: IpAddress): boolean {
    return typeof address === 'bigint' ? within(this.v6, address) : within(this.v4, address);
  }
}

function blockOfV4(address: number, bits: number): Range<number> {
  const size = 2 ** (32 - Math.max(0, bits));
  const first = Math.floor(address / size) * size;
  return { first, last: first + size - 1 };
}

function blockOfV6(address: bigint, bits: number): Range<bigint> {
  const host = BigInt(128 - bits);
  const first = (address >> host) << host;
  return { first, last: first + (1n << host) - 1n };
}

/** In order, and none inside another: blocks are nested or apart. */
function merged<T extends IpAddress>(ranges: Range<T>[]): Range<T>[] {
  const result: Range<T>[] = [];
  // of blocks that begin alike the largest comes first
  for (const range of ranges.sort((a, b) => order(a.first, b.first) || order(b.last, a.last))) {
    const before = result.at(-1);
    if (before === undefined || range.first > before.last) result.push(range);
  }
  return result;
}

function order(a: IpAddress, b: IpAddress): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function within<T extends IpAddress>(ranges: readonly Range<T>[], address: T): boolean {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const { first, last } = ranges[middle] as Range<T>;
    if (address < first) high = middle - 1;
    else if (address > last) low = middle + 1;
    else return true;
  }
  return false;
}
