import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applicationKeyIn, decodeKeyRecord, encodeKeyRecord, type KeyRecord, keyRecordIsReadable } from './index.js';

const APPLICATION = '7f0b2f4e-0d0c-4f1e-9a55-0f6b4b6f8a10';
const encoded = (more: Partial<KeyRecord> = {}): Buffer =>
  encodeKeyRecord({ application: APPLICATION, revoked: false, expiresAt: null, ...more });
const withHead = (head: number, bytes: Buffer): Buffer => Buffer.concat([Buffer.of(head), bytes.subarray(1)]);

describe('key records', () => {
  it('come back as they were, the expiry in whole seconds rounded up', () => {
    const scopes = fc.uniqueArray(fc.stringMatching(/^[!#-[\]-~]{1,20}$/), { minLength: 1, maxLength: 5 });
    const ips = fc.uniqueArray(fc.oneof(fc.ipV4(), fc.ipV6()), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(
        fc.uuid(),
        fc.boolean(),
        fc.option(fc.integer({ min: 1, max: 0xffff_ffff })),
        fc.record({ scopes, ips }, { requiredKeys: [] }),
        (application, revoked, seconds, bounds) => {
          const record = {
            application: application.toLowerCase(),
            revoked,
            expiresAt: seconds === null ? null : seconds * 1000,
          };
          const bytes = encodeKeyRecord({ ...record, ...bounds });
          expect(decodeKeyRecord(bytes)).toEqual(revoked ? record : { ...record, ...bounds });
          expect(bytes.length === 21).toBe(revoked || Object.keys(bounds).length === 0);
          expect(applicationKeyIn(bytes).toString('hex')).toBe(record.application.replaceAll('-', ''));
        },
      ),
    );
  });

  it('of another length or version are refused', () => {
    const bytes = encoded();
    expect(() => decodeKeyRecord(bytes.subarray(1))).toThrow(/21 bytes/);
    expect(() => decodeKeyRecord(Buffer.concat([bytes, Buffer.from('{}')]))).toThrow(/21 bytes, not 23/);
    expect(() => decodeKeyRecord(withHead(0x20, bytes))).toThrow(/version 2/);
  });

  it('R6 with flags that are not known are refused, but for those of a revoked key: it is revoked all the same', () => {
    const bytes = encoded({ revoked: true, expiresAt: 5000 });
    expect(decodeKeyRecord(withHead(0x1f, bytes))).toEqual(decodeKeyRecord(bytes));
    expect(() => decodeKeyRecord(withHead(0x14, bytes))).toThrow(/flags 4/);
  });

  it('R6 with bounds that cannot be read are refused, and may be narrower than what was served until then', () => {
    const bytes = encoded({ ips: ['10.0.0.0/8'] });
    expect(keyRecordIsReadable(withHead(0x14, encoded()))).toBe(true);
    for (const bounds of ['', 'x', '[]x', 'null', '{"ips":[]}', '{"ips":["10.0.0.0/33"]}', '{"scopes":["a b"]}']) {
      const broken = Buffer.concat([bytes.subarray(0, 21), Buffer.from(bounds)]);
      expect(() => decodeKeyRecord(broken), bounds).toThrow(/cannot be read/);
      expect(keyRecordIsReadable(broken)).toBe(false);
    }
  });

  it('are not made for scopes or addresses that no request could have', () => {
    expect(() => encoded({ ips: [] })).toThrow(/must name an address/);
    expect(() => encoded({ scopes: ['two words'] })).toThrow(/without spaces/);
    expect(encoded({ scopes: [] })).toHaveLength(21);
  });
});
