import { decodeIssuerRecord, type IssuerRecord, TABLE } from '#model';
import type { StateSnapshot } from '../../../state/state-snapshot.js';
import { compileKey, type TokenKey } from './token-key.js';
import type { TokenText } from './token-text.js';

/** An issuer whose tokens are taken. */
export interface TrustedIssuer extends Pick<IssuerRecord, 'issuer' | 'audience' | 'claim' | 'typ'> {
  /** of the record that it was made of */
  value: Buffer;
  /** those that may be used */
  keys: ReadonlySet<TokenKey>;
}

export interface TrustedIssuers {
  byName: ReadonlyMap<string, TrustedIssuer>;
  /** why the others cannot be used, by `issuer <name>` */
  failed: ReadonlyMap<string, string>;
}

export const NO_ISSUERS: TrustedIssuers = { byName: new Map(), failed: new Map() };

/**
 * All issuers of a revision. A key that was there before, of an issuer that says the same of its tokens, is the same object, so that
 * tokens need not be verified again after a rotation.
 */
export function trustedIssuers(before: TrustedIssuers, snapshot: StateSnapshot): TrustedIssuers {
  const byName = new Map<string, TrustedIssuer>();
  const failed = new Map<string, string>();
  for (const { key, value } of snapshot.entries(TABLE.jwks)) {
    const name = key.toString('utf8');
    const known = before.byName.get(name);
    try {
      byName.set(name, known?.value.equals(value) ? known : compileIssuer(value, known));
    } catch (error) {
      failed.set(`issuer ${name}`, (error as Error).message);
    }
  }
  return { byName, failed };
}

function compileIssuer(value: Buffer, known: TrustedIssuer | undefined): TrustedIssuer {
  const { issuer, audience, algorithms, claim, typ, keys } = decodeIssuerRecord(value);
  const rules = { issuer, audience, claim, typ };
  const old = new Map(known && sameRules(known, rules) ? Array.from(known.keys, (key) => [key.text, key]) : []);
  const usable = keys.filter(({ alg }) => algorithms.includes(alg)).map(compileKey);
  return { ...rules, value, keys: new Set(usable.map((key) => old.get(key.text) ?? key)) };
}

type Rules = Pick<TrustedIssuer, 'audience' | 'claim' | 'typ'>;

function sameRules(a: Rules, b: Rules): boolean {
  return a.claim === b.claim && a.typ === b.typ && JSON.stringify(a.audience) === JSON.stringify(b.audience);
}

/**
 * The key that a token was signed with, if it says the truth: one of its issuer's own, by name and algorithm. A token that names none is
 * taken where the issuer has one of that algorithm only.
 */
export function keyFor({ keys }: TrustedIssuer, { kid, alg }: TokenText): TokenKey | null {
  let found: TokenKey | null = null;
  for (const key of keys) {
    if (key.alg !== alg || (kid !== undefined && key.kid !== kid)) continue;
    if (found !== null) return null;
    found = key;
  }
  return found;
}
