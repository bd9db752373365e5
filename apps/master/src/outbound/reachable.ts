import { BlockList, isIP, isIPv4 } from 'node:net';

/** Of IPv4, what is no address of a machine on the internet: RFC 6890 and its registry. */
const SPECIAL_4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
];
/** The only block of IPv6 that is given out, and in it what is none of a machine, or carries an address of IPv4. */
const GLOBAL_6 = '2000::/3';
const SPECIAL_6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

const listOf = (blocks: readonly string[]): BlockList => {
  const list = new BlockList();
  for (const block of blocks) {
    const [address = '', bits] = block.split('/');
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    list.addSubnet(address, bits === undefined ? (family === 'ipv4' ? 32 : 128) : Number(bits), family);
  }
  return list;
};

const special4 = listOf(SPECIAL_4);
const global6 = listOf([GLOBAL_6]);
const special6 = listOf(SPECIAL_6);

/** Which addresses a master may connect to when somebody outside has named them. */
export class Reachable {
  private readonly allowed: BlockList;

  /**
   * @param networks CIDR blocks of addresses that are private, and yet may be asked, also without TLS
   * @param setting that names them
   */
  constructor(
    networks: readonly string[],
    private readonly setting: string,
  ) {
    this.allowed = listOf(networks);
  }

  /** @returns null, or why it is not to be asked */
  problemOf(address: string, tls: boolean): string | null {
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    if (this.allowed.check(address, family)) return null;
    const isPublic =
      family === 'ipv4'
        ? !special4.check(address, family)
        : global6.check(address, family) && !special6.check(address, family);
    if (!isPublic) return `${address} is no public address, and not in ${this.setting}`;
    return tls ? null : `http is for addresses in ${this.setting} only; ${address} is none`;
  }
}
