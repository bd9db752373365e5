import { fail, type HelioError } from '#model';

const HEX = /^[0-9a-fA-F]{64}$/;
/** 32 bytes: 43 characters, padded or not. */
const BASE64 = /^[A-Za-z0-9+/_-]{43}=?$/;

/** Hashes of other gateways and of passwords, by how they look. */
const OTHERS: readonly (readonly [form: RegExp, name: string, why: string])[] = (() => {
  const weak = 'which is no cryptographic hash: who has it finds another key with the same hash in seconds';
  const other = 'and gateways look a key up by its SHA-256';
  const salted = 'which is salted: no key can be looked up by it';
  return [
    [/^[0-9a-f]{8}$/i, 'a murmur32 or CRC-32', weak],
    [/^[0-9a-f]{16}$/i, 'a murmur64', weak],
    [/^[0-9a-f]{32}$/i, 'a murmur128 or MD5', weak],
    [/^[0-9a-f]{40}$/i, 'a SHA-1', other],
    [/^[0-9a-f]{56}$/i, 'a SHA-224', other],
    [/^[0-9a-f]{96}$/i, 'a SHA-384', other],
    [/^[0-9a-f]{128}$/i, 'a SHA-512', other],
    [/^\$2[abxy]?\$/, 'a bcrypt hash', salted],
    [/^\$argon2/, 'an Argon2 hash', salted],
    [/^\$(5|6|y|7|scrypt|pbkdf2[a-z0-9-]*)\$|^(pbkdf2|scrypt)[:$_]/, 'a password hash', salted],
    [/^\{S?SHA\d*\}/i, 'an LDAP hash', salted],
  ];
})();

/**
 * The SHA-256 of a whole key, in hexadecimal or base64 (also base64url).
 *
 * @returns its 32 bytes, or what is wrong: `key_hash_unsupported` for what can be told to be another kind of hash
 */
export function readKeyHash(text: string): Buffer | HelioError {
  if (HEX.test(text)) return Buffer.from(text, 'hex');
  if (BASE64.test(text)) {
    const bytes = Buffer.from(text, 'base64');
    const again = bytes.toString('base64url');
    // the last character has two bits to spare: what they say is said in one way only
    if (bytes.length === 32 && again === text.replace('=', '').replaceAll('+', '-').replaceAll('/', '_')) return bytes;
  }
  const found = OTHERS.find(([form]) => form.test(text));
  if (!found) {
    const problem =
      'must be the SHA-256 of the whole key, without a salt: 64 hexadecimal digits, or 32 bytes in base64';
    return fail('invalid_request', `sha256: ${problem}`, { fields: [{ field: 'sha256', problem }] });
  }
  const [, name, why] = found;
  const problem = `looks like ${name}, ${why}`;
  const expected = 'give the key itself as secret, where it is known; else issue a new key';
  return fail('key_hash_unsupported', `sha256: ${problem}`, { fields: [{ field: 'sha256', problem, expected }] });
}
