import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clientCredentials } from './client-credentials.js';
import { parseForm, required } from './form.js';
import { OAuthFault } from './oauth-fault.js';

const parse = (text: string): Map<string, string> => new Map(parseForm(Buffer.from(text)));

describe('a form', () => {
  it('is read as every client writes it', () => {
    const text = fc.string({ unit: 'grapheme' }).filter((value) => value.isWellFormed());
    const pairs = fc.uniqueArray(fc.tuple(text, text), { maxLength: 20, selector: ([name]) => name });
    fc.assert(
      fc.property(pairs, (list) => {
        const given = list.filter(([name, value]) => name !== '' && value !== '');
        expect([...parse(new URLSearchParams(given).toString())]).toEqual(given);
      }),
    );
  });

  it('is refused in OAuth’s form, or read, whatever its bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          parseForm(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(OAuthFault);
        }
      }),
    );
  });

  it('leaves out what has no value, and knows no parameter twice', () => {
    expect([...parse('a=&b=1&c&&d=%20+')]).toEqual([
      ['b', '1'],
      ['d', '  '],
    ]);
    for (const text of ['a=1&a=2', 'a=&a=1', 'a&a', '%61=1&a=1'])
      expect(() => parse(text), text).toThrow(/more than once/);
    expect(() => parse(Array.from({ length: 51 }, (_, i) => `a${i}=1`).join('&'))).toThrow(/too many/);
    expect(parseForm(undefined).size).toBe(0);
    expect(() => required(parse('a='), 'a')).toThrow('the parameter a is missing');
  });
});

describe('the credentials of a client', () => {
  const header = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

  it('are split at the first colon and then decoded', () => {
    expect(clientCredentials(header('a%3Ab:c:d+%2B'), new Map())).toEqual({ id: 'a:b', secret: 'c:d +' });
  });

  it('are never taken from two places', () => {
    const secret = new Map([['client_secret', 's']]);
    expect(() => clientCredentials(header('a:b'), secret)).toThrow(
      expect.objectContaining({ code: 'invalid_request' }),
    );
    expect(() => clientCredentials('Bearer x', secret)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});
