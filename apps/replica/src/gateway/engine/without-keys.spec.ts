import { describe, expect, it } from 'vitest';
import { TokenIssuer } from '../../testing/token-issuer.js';
import { withoutKeys } from './without-keys.js';

describe('texts for logs', () => {
  it('have no key, secret or token in them, nor one that was cut, and all the rest', () => {
    const token = new TokenIssuer().token();
    const [head = '', payload = ''] = token.split('.');
    expect(withoutKeys(`/a/hg_live_0aZ_9/hg_secret_x1_y2/${token}/b`)).toBe('/a/hg_***/hg_***/eyJ***/b');
    for (const cut of [`${head}.${payload}`, `${head}.${payload}.`, `${head}.`, token.slice(0, 100)])
      expect(withoutKeys(`/${cut}`)).not.toContain(payload.slice(0, 20));
    for (const plain of ['/journey.json', '/eyJournal', '/hg/live', '']) expect(withoutKeys(plain)).toBe(plain);
  });
});
