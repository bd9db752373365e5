import { BlockList, isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseIpAddress } from './ip-address.js';
import { IpList } from './ip-list.js';

const has = (entries: string[], address: string): boolean => {
  const parsed = parseIpAddress(address);
  return parsed !== null && new IpList(entries).has(parsed);
};

describe('parseIpAddress', () => {
  it('knows every form of an address', () => {
    expect(parseIpAddress('0.0.0.0')).toBe(0);
    expect(parseIpAddress('192.0.2.1')).toBe(0xc000_0201);
    expect(parseIpAddress('255.255.255.255')).toBe(0xffff_ffff);
    expect(parseIpAddress('::')).toBe(0n);
    expect(parseIpAddress('::1')).toBe(1n);
    expect(parseIpAddress('2001:DB8::a:1')).toBe(0x2001_0db8_0000_0000_0000_0000_000a_0001n);
    expect(parseIpAddress('1:2:3:4:5:6:7:8')).toBe(0x1_0002_0003_0004_0005_0006_0007_0008n);
    expect(parseIpAddress('64:ff9b::192.0.2.1')).toBe(0x64_ff9b_0000_0000_0000_0000_c000_0201n);
    expect(parseIpAddress('fe80::1%eth0')).toBe(0xfe80_0000_0000_0000_0000_0000_0000_0001n);
  });

  it('takes IPv4 out of its IPv6 clothing, however that is written', () => {
    for (const text of ['::ffff:192.0.2.1', '::FFFF:c000:201', '0:0:0:0:0:ffff:192.0.2.1', '::ffff:c000:0201%lo'])
      expect([text, parseIpAddress(text)]).toEqual([text, 0xc000_0201]);
  });

  it.each(['', ' ', '1.2.3', '1.2.3.4.5', '1.2.3.', '.1.2.3', '01.2.3.4', '1.2.3.256', '1.2.3.4 ', '1.2.3.4:80'])(
    'refuses "%s"',
    (text) => expect(parseIpAddress(text)).toBeNull(),
  );
  it.each([':', ':::', '1::2::3', '12345::', '::1.2.3', '[::1]', '::1%', 'unknown', '1:2:3:4:5:6:7', '%eth0'])(
    'refuses "%s"',
    (text) => expect(parseIpAddress(text) === null).toBe(isIP(text) === 0 && isIP(text.split('%')[0] ?? '') === 0),
  );

  it('refuses exactly what node refuses', () => {
    const part = fc.oneof(fc.nat(300).map(String), fc.constantFrom('', '00', '1e1', '-1', '0x1', 'ffff', '::', ':'));
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 9 }), fc.constantFrom('.', ':'), (parts, mark) => {
        const text = parts.join(mark);
        expect(parseIpAddress(text) !== null).toBe(isIP(text) !== 0);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('IpList', () => {
  it('has whole blocks, from their first address to their last', () => {
    expect(['10.0.0.0', '10.255.255.255'].map((a) => has(['10.0.0.0/8'], a))).toEqual([true, true]);
    expect(['9.255.255.255', '11.0.0.0'].map((a) => has(['10.0.0.0/8'], a))).toEqual([false, false]);
    expect(has(['10.1.2.3/8'], '10.200.0.1')).toBe(true);
    expect(['0.0.0.0', '255.255.255.255'].map((a) => has(['0.0.0.0/0'], a))).toEqual([true, true]);
    expect(has(['2001:db8::/32'], '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff')).toBe(true);
    expect(has(['2001:db8::/32'], '2001:db9::')).toBe(false);
  });

  it('keeps the families apart', () => {
    expect(has(['::/0'], '192.0.2.1')).toBe(false);
    expect(has(['::/0'], '::ffff:192.0.2.1')).toBe(false);
    expect(has(['0.0.0.0/0'], '::1')).toBe(false);
    expect(has(['0.0.0.0/0'], '::ffff:c000:201')).toBe(true);
  });

  it('has nobody without entries', () => {
    expect([has([], '192.0.2.1'), has([], '::1')]).toEqual([false, false]);
  });

  it('refuses what is no block', () => {
    expect(() => new IpList(['10.0.0/8'])).toThrow('10.0.0/8 is neither an address nor a CIDR block');
  });

  it('agrees with one net.BlockList a family', () => {
    const v4 = fc.tuple(fc.ipV4(), fc.nat(32)).map(([address, bits]) => ({ address, bits, family: 'ipv4' as const }));
    const v6 = fc
      .tuple(fc.ipV6(), fc.nat(128))
      .filter(([address]) => isIP(address) === 6 && typeof parseIpAddress(address) === 'bigint')
      .map(([address, bits]) => ({ address, bits, family: 'ipv6' as const }));
    const blocks = fc.array(fc.oneof(v4, v6), { maxLength: 20 });
    fc.assert(
      fc.property(blocks, fc.oneof(v4, v6), fc.nat(20), (list, other, pick) => {
        const oracles = { ipv4: new BlockList(), ipv6: new BlockList() };
        for (const { address, bits, family } of list) oracles[family].addSubnet(address, bits, family);
        const own = list.map(({ address, bits }) => `${address}/${bits}`);
        for (const { address, family } of [other, list[pick] ?? other])
          expect([address, has(own, address)]).toEqual([address, oracles[family].check(address, family)]);
      }),
      { numRuns: 1000 },
    );
  });
});
