import { clientKey, type IssuerRecord, revokedTokenKey, TOKEN_SKEW_SECONDS } from '#model';
import type { Claims } from './token-text.js';

const SKEW_MS = TOKEN_SKEW_SECONDS * 1000;
/** Later than this is as good as never, and no date in texts could say it. */
const LAST_SECOND = 253_402_300_799;
const MAX_JTI = 1024;

/** What decisions need of a token's claims. Times are milliseconds since 1970. */
export interface TokenFacts {
  /** the key of the client's entry, one character per byte */
  client: string;
  /** the key of the entry that would revoke it, likewise; null: the issuer gave it no name */
  revocation: string | null;
  expiresAt: number;
  notBefore: number;
  /** null: it does not say */
  issuedAt: number | null;
  scopes: ReadonlySet<string>;
}

/** @returns a sentence that follows "the token", for one that is not meant for this environment, or incomplete */
export function factsOf(
  claims: Claims,
  issuer: Pick<IssuerRecord, 'issuer' | 'audience' | 'claim'>,
): TokenFacts | string {
  const { aud, exp, nbf, iat, jti } = claims;
  const audience = listIn(aud);
  if (!audience?.some((one) => issuer.audience.includes(one)))
    return `is not meant for this environment: its aud has none of ${issuer.audience.join(', ')}`;
  const client = claims[issuer.claim];
  if (typeof client !== 'string' || client === '' || !client.isWellFormed())
    return `does not say whose it is in the claim ${issuer.claim}`;
  if (!isDate(exp)) return 'does not say when it expires (exp, in seconds)';
  if ((nbf !== undefined && !isDate(nbf)) || (iat !== undefined && !isDate(iat)))
    return 'has a nbf or iat that is no number of seconds';
  if (jti !== undefined && (typeof jti !== 'string' || jti.length > MAX_JTI || !jti.isWellFormed()))
    return `has a jti that is no text of at most ${MAX_JTI} characters`;
  const scopes = scopesIn(claims.scope ?? claims.scp);
  if (scopes === null) return 'has a scope (or scp) that is no text and no list of texts';
  return {
    client: clientKey(issuer.issuer, client).toString('latin1'),
    revocation: jti === undefined ? null : revokedTokenKey(issuer.issuer, jti).toString('latin1'),
    expiresAt: milliseconds(exp),
    notBefore: milliseconds(nbf ?? 0),
    issuedAt: iat === undefined ? null : milliseconds(iat),
    scopes,
  };
}

/** Clocks may be apart by a minute, either way. */
export function hasExpired({ expiresAt }: TokenFacts, now: number): boolean {
  return expiresAt + SKEW_MS <= now;
}

export function hasBegun({ notBefore, issuedAt }: TokenFacts, now: number): boolean {
  return Math.max(notBefore, issuedAt ?? 0) - SKEW_MS <= now;
}

function isDate(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function milliseconds(seconds: number): number {
  return Math.floor(Math.min(Math.max(seconds, 0), LAST_SECOND) * 1000);
}

function listIn(value: unknown): string[] | null {
  const list = Array.isArray(value) ? value : [value];
  return list.every((one) => typeof one === 'string') ? list : null;
}

const NONE: ReadonlySet<string> = new Set();

/** `scope` is one text with spaces (RFC 8693, 4.2); some issuers write a list, or call it `scp`. */
function scopesIn(value: unknown): ReadonlySet<string> | null {
  if (value === undefined || value === null) return NONE;
  const list = listIn(value);
  if (list === null) return null;
  return new Set(list.flatMap((text) => text.split(' ')).filter((text) => text !== ''));
}
