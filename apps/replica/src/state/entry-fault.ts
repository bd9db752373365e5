import { hash } from 'node:crypto';
import type { z } from 'zod';
import {
  apiId,
  applicationRecord,
  clientRecord,
  decodeKeyRecord,
  decodeRevokedToken,
  decodeTrustedKeys,
  definition,
  issuerKey,
  type IssuerRecord,
  issuerRecord,
  KEY_ID_BYTES,
  planId,
  planRecord,
  regionId,
  DEFAULT_REGION,
  splitPlacementKey,
  MOST_TRUSTED_KEYS,
  TABLE,
  tableName,
  TOKEN_ID_BYTES,
  TRUSTED_KEYS_SETTING,
} from '#model';
import { faultsOf } from '#platform';

/** Why an entry's value cannot be used. `detail` is one sentence, at most 500 characters. */
export interface EntryFault {
  code: 'unknown_table' | 'digest_mismatch' | 'definition_invalid' | 'record_invalid' | 'release_unusable';
  detail: string;
}

const MAX_DETAIL = 500;
const DIGEST_BYTES = 32;

export function entryFault(code: EntryFault['code'], detail: string): EntryFault {
  return { code, detail: detail.slice(0, MAX_DETAIL) };
}

/**
 * Looks at one entry by itself; that a placement's release can be used, too, is for the caller to know.
 *
 * @returns null for an entry that this build can use
 */
export function faultOfEntry(table: number, key: Buffer, value: Buffer): EntryFault | null {
  switch (table) {
    case TABLE.release:
      return faultOfRelease(key, value);
    case TABLE.placement:
      return faultOfPlacement(key, value);
    case TABLE.plan:
      if (!planId.safeParse(key.toString('utf8')).success)
        return entryFault('record_invalid', 'its key is not the id of a plan');
      return faultOfJson(planRecord, value, 'record_invalid');
    case TABLE.application:
      if (key.length !== 16)
        return entryFault('record_invalid', `the id of an application has 16 bytes, not ${key.length}`);
      return faultOfJson(applicationRecord, value, 'record_invalid');
    case TABLE.key:
      return faultOfKey(key, value);
    case TABLE.jwks:
      return faultOfIssuer(key, value);
    case TABLE.revoked_token:
      return faultOfTokenId(key, 'revoked token') ?? faultOfBytes(() => decodeRevokedToken(value));
    case TABLE.client:
      return faultOfTokenId(key, 'client') ?? faultOfJson(clientRecord, value, 'record_invalid');
    case TABLE.setting:
      return key.equals(TRUSTED_KEYS_SETTING) ? faultOfTrustedKeys(value) : null;
    default:
      return entryFault('unknown_table', `this build does not know the table ${tableName(table)}`);
  }
}

function faultOfRelease(key: Buffer, value: Buffer): EntryFault | null {
  const digest = hash('sha256', value, 'buffer');
  if (!digest.equals(key))
    return entryFault('digest_mismatch', `its definition has the digest ${digest.toString('hex')}`);
  return faultOfJson(definition, value, 'definition_invalid');
}

function faultOfPlacement(key: Buffer, value: Buffer): EntryFault | null {
  const name = splitPlacementKey(key);
  const region = name?.region === DEFAULT_REGION || regionId.safeParse(name?.region).success;
  if (!name || !region || !apiId.safeParse(name.api).success)
    return entryFault('record_invalid', 'its key is not <API>@<region>');
  if (value.length !== DIGEST_BYTES)
    return entryFault('record_invalid', `a digest has ${DIGEST_BYTES} bytes, not ${value.length}`);
  return null;
}

function faultOfKey(key: Buffer, value: Buffer): EntryFault | null {
  if (key.length !== KEY_ID_BYTES)
    return entryFault('record_invalid', `the id of a key has ${KEY_ID_BYTES} bytes, not ${key.length}`);
  return faultOfBytes(() => decodeKeyRecord(value));
}

function faultOfTokenId(key: Buffer, what: string): EntryFault | null {
  if (key.length === TOKEN_ID_BYTES) return null;
  return entryFault('record_invalid', `the id of a ${what} has ${TOKEN_ID_BYTES} bytes, not ${key.length}`);
}

function faultOfIssuer(key: Buffer, value: Buffer): EntryFault | null {
  const fault = faultOfJson(issuerRecord, value, 'record_invalid');
  if (fault) return fault;
  const { issuer } = JSON.parse(value.toString('utf8')) as IssuerRecord;
  return key.equals(issuerKey(issuer)) ? null : entryFault('record_invalid', `its key is not its issuer, ${issuer}`);
}

function faultOfBytes(decode: () => unknown): EntryFault | null {
  try {
    decode();
    return null;
  } catch (error) {
    return entryFault('record_invalid', (error as RangeError).message);
  }
}

function faultOfTrustedKeys(value: Buffer): EntryFault | null {
  if (decodeTrustedKeys(value)) return null;
  const form = `{"keys": [...]} with 1 to ${MOST_TRUSTED_KEYS} Ed25519 public keys in base64`;
  return entryFault('record_invalid', `its value is not ${form}; the keys of before are still believed`);
}

function faultOfJson(schema: z.ZodType, value: Buffer, code: EntryFault['code']): EntryFault | null {
  let json: unknown;
  try {
    json = JSON.parse(value.toString('utf8'));
  } catch {
    return entryFault(code, 'its value is not JSON');
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return null;
  const [first, ...more] = faultsOf(parsed.error);
  const others = more.length > 0 ? ` (and ${more.length} more)` : '';
  return entryFault(code, `${first?.field}: ${first?.problem}${others}`);
}
