import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HelioError } from '#model';
import { readKeyHash } from './key-hash.js';

const codeOf = (text: string): string | undefined => {
  const read = readKeyHash(text);
  return read instanceof HelioError ? read.code : undefined;
};

describe('the hash of a key', () => {
  it('is read in hexadecimal, base64 and base64url, padded or not', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (raw) => {
        const bytes = Buffer.from(raw);
        const hex = bytes.toString('hex');
        const forms = [hex, hex.toUpperCase(), bytes.toString('base64'), bytes.toString('base64url')];
        for (const form of [...forms, bytes.toString('base64').replace('=', '')])
          expect(readKeyHash(form)).toEqual(bytes);
      }),
    );
  });

  it('that is of another kind is named, with why it cannot be used and what to do', () => {
    const hashed = (kind: string): string => createHash(kind).update('a key').digest('hex');
    const others: Record<string, string> = {
      '9f0e1d2c': 'murmur32',
      '9f0e1d2c3b4a5968': 'murmur64',
      [hashed('md5')]: 'murmur128 or MD5',
      [hashed('sha1')]: 'SHA-1',
      [hashed('sha512')]: 'SHA-512',
      '$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW': 'bcrypt',
      '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b27SA': 'Argon2',
      'pbkdf2:sha256:600000$salt$abcd': 'password hash',
      '{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=': 'LDAP',
    };
    for (const [text, name] of Object.entries(others)) {
      const read = readKeyHash(text) as HelioError;
      expect(read.code, text).toBe('key_hash_unsupported');
      expect(read.detail).toContain(name);
      expect(read.fields).toMatchObject([{ field: 'sha256', expected: expect.stringContaining('secret') }]);
    }
  });

  it('that is nothing known is refused as such, never taken for one', () => {
    const bytes = Buffer.alloc(32, 0xff);
    const loose = `${bytes.toString('base64url').slice(0, -1)}9`; // the same bytes to a decoder that looks away
    expect(Buffer.from(loose, 'base64url')).toEqual(bytes);
    for (const text of ['', 'ab', 'zz'.repeat(32), loose, 'A'.repeat(44), `${'ab'.repeat(32)} `, 'a key of a customer'])
      expect(codeOf(text), text).toBe('invalid_request');
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        const read = readKeyHash(text);
        if (!(read instanceof HelioError)) expect(read).toHaveLength(32);
      }),
    );
  });
});
