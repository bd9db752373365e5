import {
  applicationKey,
  type ClientRecord,
  decodeClientRecord,
  decodeIssuerRecord,
  decodeRevokedToken,
  type IssuerRecord,
  type Op,
  TABLE,
} from '#model';
import { entryName } from '../entries.js';
import { boundsOf, type Revocation, type Revocations } from './revocation.js';

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
  // one that was bound to another application is no longer the first one's, whatever it is of that one
  const bound = ({ application }: ClientRecord): Buffer => Buffer.concat([key, applicationKey(application)]);
  const made: Revocation[] =
    before && before.application !== after?.application
      ? [{ what: 'client', key: bound(before), target, detail: null }]
      : [];
  if (!after) return { made, undone: [] };
  const { notBefore = 0 } = after;
  if (notBefore > (before?.notBefore ?? 0)) made.push({ what: 'tokens', key, target, detail: { notBefore } });
  // also of one that is new on the chain: it may have been bound before, and wider. Wider ones, too: see `ofKey`
  const bounds = boundsOf(after);
  if (!before || JSON.stringify(boundsOf(before)) !== JSON.stringify(bounds))
    made.push({ what: 'client-bounds', key, target, detail: bounds });
  return { made, undone: [{ what: 'client', key: bound(after) }] };
}

/** One that leaves has expired: nobody gets anything back. */
function ofToken(key: Buffer, value: Buffer | null): Revocations {
  if (!value) return { made: [], undone: [{ what: 'token', key }] };
  const target = entryName({ table: TABLE.revoked_token, key });
  return { made: [{ what: 'token', key, target, detail: { expiresAt: decodeRevokedToken(value) } }], undone: [] };
}

/** Keys by their issuer and kid: an issuer that is given another name keeps them. */
function ofIssuer(key: Buffer, was: Buffer | null, is: Buffer | null): Revocations {
  const [before, after] = [was && decodeIssuerRecord(was), is && decodeIssuerRecord(is)];
  const target = entryName({ table: TABLE.jwks, key });
  const now = kidsOf(after);
  const keyOf = (kid: string): Buffer => Buffer.concat([key, Buffer.from(`\n${kid}`)]);
  const gone = kidsOf(before).filter((kid) => !now.includes(kid));
  const made = gone.map(
    (kid): Revocation => ({ what: 'token-key', key: keyOf(kid), target: `token-key/${kid}`, detail: null }),
  );
  const undone: Revocations['undone'] = now.map((kid) => ({ what: 'token-key', key: keyOf(kid) }));
  if (!after) return { made: [...made, { what: 'issuer', key, target, detail: null }], undone };
  // of one that is new on the chain as well: it may have been trusted before, for more
  const rules = rulesOf(after);
  if (!before || JSON.stringify(rulesOf(before)) !== JSON.stringify(rules))
    made.push({ what: 'issuer-rules', key, target, detail: rules });
  return { made, undone: [...undone, { what: 'issuer', key }] };
}

const rulesOf = ({ audience, algorithms, claim }: IssuerRecord): object => ({ audience, algorithms, claim });

function kidsOf(record: IssuerRecord | null): string[] {
  return record?.keys.flatMap(({ kid }) => (kid === undefined ? [] : [kid])) ?? [];
}
