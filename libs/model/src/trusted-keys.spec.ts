import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decodeTrustedKeys, encodeTrustedKeys } from './trusted-keys.js';

const key = (): string => randomBytes(32).toString('base64');

describe('the trusted keys of a chain', () => {
  it('have one encoding, whatever the order and however often a key is named', () => {
    const [one, other] = [key(), key()];
    const bytes = encodeTrustedKeys([one, other]);
    expect(encodeTrustedKeys([other, one, other])).toEqual(bytes);
    expect(decodeTrustedKeys(bytes)).toEqual([one, other].sort());
  });

  it.each([
    ['no keys at all', '{"keys":[]}'],
    ['another shape', '{"key":"x"}'],
    ['what is no JSON', '{'],
    ['a key of 31 bytes', JSON.stringify({ keys: [randomBytes(31).toString('base64')] })],
    ['a key in another way of writing', JSON.stringify({ keys: [`${key()} `] })],
  ])('are not read from %s', (_, text) => {
    expect(decodeTrustedKeys(Buffer.from(text))).toBeNull();
  });

  it('are never nobody', () => {
    expect(() => encodeTrustedKeys([])).toThrow();
  });
});
