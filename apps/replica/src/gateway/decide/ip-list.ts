import { BlockList, isIP } from 'node:net';

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** Addresses and CIDR blocks of both families. IPv4 addresses in IPv6 clothing count as IPv4. */
export class IpList {
  private readonly list = new BlockList();

  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      const [text = '', bits] = entry.split('/');
      const { address, family } = normalized(text);
      const unmapped = family === 'ipv4' && text.includes(':');
      // a block of mapped addresses says how many of 128 bits; fewer than 96 would be all of IPv4 and more
      const length =
        bits === undefined ? (family === 'ipv4' ? 32 : 128) : Math.max(0, Number(bits) - (unmapped ? 96 : 0));
      this.list.addSubnet(address, length, family);
    }
  }

  /** False for what is no address at all. */
  has(address: string): boolean {
    const plain = address.split('%', 1)[0] ?? ''; // fe80::1%eth0
    if (isIP(plain) === 0) return false;
    const { address: text, family } = normalized(plain);
    return this.list.check(text, family);
  }
}

function normalized(address: string): { address: string; family: 'ipv4' | 'ipv6' } {
  const mapped = MAPPED.exec(address)?.[1];
  if (mapped !== undefined) return { address: mapped, family: 'ipv4' };
  return { address, family: isIP(address) === 4 ? 'ipv4' : 'ipv6' };
}
