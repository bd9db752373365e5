import { applicationRecordIsClosed, keyRecordIsReadable, TABLE } from '#model';

/**
 * What is served for an entry whose new value cannot be used: the last good one, unless the new one shuts somebody out, or
 * nobody can tell that it does not. A revocation must not be undone by what else is in its record.
 *
 * Of an issuer the last good value might trust a key that was stolen, of a client tokens that were revoked: none is served. That
 * a token is revoked is said by the entry's being there.
 */
export function servingInstead(table: number, value: Buffer, lastGood: Buffer | null): Buffer | null {
  if (table === TABLE.key && !keyRecordIsReadable(value)) return null;
  if (table === TABLE.jwks || table === TABLE.client) return null;
  if (table === TABLE.revoked_token) return value;
  if (table === TABLE.application && applicationRecordIsClosed(value)) return null;
  return lastGood;
}
