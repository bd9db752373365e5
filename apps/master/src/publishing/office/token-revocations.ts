import { type ClientRecord, decodeClientRecord, decodeIssuerRecord, decodeRevokedToken, type Op, TABLE } from '#model';
import { entryName } from '../entries.js';
import type { Revocation, Revocations } from './revocation.js';

/** As `revocationsIn`, of the tables of tokens. @throws for a record that cannot be read */
export function tokenRevocationsIn({ table, key, value }: Op, before: Buffer | null): Revocations {
  switch (table) {
    case TABLE.client:
      return ofClient(key, before && decodeClientRecord(before), value && decodeClientRecord(value));
    case TABLE.revoked_token:
      return ofToken(key, value);
    case TABLE.jwks:
      return ofIssuer(key, before, value);
    default:
      return { made: [], undone: [] };
  }
}

function ofClient(key: Buffer, before: ClientRecord | null, after: ClientRecord | null): Revocations {
  const target = entryName({ table: TABLE.client, key });
  if (!after) return { made: [{ what: 'client', key, target, detail: null }], undone: [] };
  const undone = [{ what: 'client', key }] as const;
  const { notBefore = 0 } = after;
  const made: Revocation[] =
    notBefore > (before?.notBefore ?? 0) ? [{ what: 'tokens', key, target, detail: { notBefore } }] : [];
  return { made, undone: [...undone] };
}

/** One that leaves has expired: nobody gets anything back. */
function ofToken(key: Buffer, value: Buffer | null): Revocations {
  if (!value) return { made: [], undone: [{ what: 'token', key }] };
  const target = entryName({ table: TABLE.revoked_token, key });
  return { made: [{ what: 'token', key, target, detail: { expiresAt: decodeRevokedToken(value) } }], undone: [] };
}

/** Keys by their issuer and kid: an issuer that is given another name keeps them. */
function ofIssuer(issuer: Buffer, before: Buffer | null, after: Buffer | null): Revocations {
  const kids = (record: Buffer | null): string[] =>
    record ? decodeIssuerRecord(record).keys.flatMap(({ kid }) => (kid === undefined ? [] : [kid])) : [];
  const now = kids(after);
  const keyOf = (kid: string): Buffer => Buffer.concat([issuer, Buffer.from(`\n${kid}`)]);
  const gone = kids(before).filter((kid) => !now.includes(kid));
  return {
    made: gone.map((kid) => ({ what: 'token-key', key: keyOf(kid), target: `token-key/${kid}`, detail: null })),
    undone: now.map((kid) => ({ what: 'token-key', key: keyOf(kid) })),
  };
}
