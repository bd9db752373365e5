import { z } from 'zod';
import { canonicalJson } from '#platform';
import { apiId, planId } from './ids.js';
import { planLimits } from './plan.js';
import { ipList, scopeList } from './scope.js';
import { parse as parseUuid, stringify as stringifyUuid } from './uuid.js';

/** A plan as gateways see it: its limits. Key: the plan's id in UTF-8. */
export const planRecord = planLimits;
export type PlanRecord = z.infer<typeof planRecord>;

const subscriptionRecord = z.object({ id: z.uuid(), api: apiId, plan: planId });

/** An application with its active subscriptions. Key: the 16 bytes of its id. */
export const applicationRecord = z.object({
  name: z.string(),
  suspended: z.boolean().optional(),
  subscriptions: z.array(subscriptionRecord),
});
export type ApplicationRecord = z.infer<typeof applicationRecord>;
export type SubscriptionRecord = z.infer<typeof subscriptionRecord>;

/** A key. Key: the first 16 bytes of the SHA-256 of its secret. */
export interface KeyRecord {
  /** the application's id, a UUID */
  application: string;
  revoked: boolean;
  /** milliseconds since 1970, whole seconds; null: never */
  expiresAt: number | null;
  /** what it may be used for besides routes that require no scope */
  scopes?: string[];
  /** addresses and blocks that it may be used from; absent: any */
  ips?: string[];
}

/** Bounds of a key or client: who may use it from where, and for what. */
export const credentialBounds = z.object({ scopes: scopeList.optional(), ips: ipList.optional() });
type CredentialBounds = z.infer<typeof credentialBounds>;

const KEY_RECORD_VERSION = 1;
const KEY_RECORD_BYTES = 21;
const REVOKED = 1;
const BOUNDED = 2;
const UNKNOWN_FLAGS = 0x0c;

/**
 * 21 bytes, because there are millions: u8 version (high half) and flags, u32 expiry in seconds (0: never), 16 bytes application.
 * The flag 2 says that canonical JSON `{ips, scopes}` follows; a revoked key has no use for it.
 *
 * @throws z.ZodError for scopes or addresses that are none
 */
export function encodeKeyRecord(record: KeyRecord): Buffer {
  const bounds = record.revoked ? null : boundsIn(record);
  const bytes = Buffer.alloc(KEY_RECORD_BYTES);
  const flags = (record.revoked ? REVOKED : 0) | (bounds ? BOUNDED : 0);
  bytes.writeUInt8((KEY_RECORD_VERSION << 4) | flags, 0);
  bytes.writeUInt32BE(record.expiresAt === null ? 0 : Math.min(0xffff_ffff, Math.ceil(record.expiresAt / 1000)), 1);
  parseUuid(record.application).copy(bytes, 5);
  return bounds ? Buffer.concat([bytes, bounds]) : bytes;
}

function boundsIn({ scopes, ips }: KeyRecord): Buffer | null {
  if (!scopes?.length && ips === undefined) return null;
  return encodeJson(credentialBounds.parse({ ...(scopes?.length ? { scopes } : {}), ...(ips ? { ips } : {}) }));
}

/**
 * A revoked key is revoked whatever other flags a newer master has set.
 *
 * @throws RangeError for bytes that are no key record of a known version, or of a key that is not revoked and has unknown flags or
 *   bounds that cannot be read
 */
export function decodeKeyRecord(bytes: Buffer): KeyRecord {
  const revoked = isRevoked(bytes);
  const seconds = bytes.readUInt32BE(1);
  return {
    application: stringifyUuid(applicationOf(bytes)),
    revoked,
    expiresAt: seconds === 0 ? null : seconds * 1000,
    ...(revoked ? {} : decodeBounds(bytes)),
  };
}

function decodeBounds(bytes: Buffer): CredentialBounds {
  if ((bytes.readUInt8(0) & BOUNDED) === 0) return {};
  try {
    return credentialBounds.parse(JSON.parse(bytes.toString('utf8', KEY_RECORD_BYTES)));
  } catch {
    throw new RangeError('the scopes and addresses of a key record cannot be read');
  }
}

/**
 * The key of the application's record that a key's record names: a part of its bytes.
 *
 * @throws RangeError as `decodeKeyRecord`, but does not look at bounds
 */
export function applicationKeyIn(keyRecord: Buffer): Buffer {
  isRevoked(keyRecord);
  return applicationOf(keyRecord);
}

function isRevoked(bytes: Buffer): boolean {
  if (bytes.length < KEY_RECORD_BYTES)
    throw new RangeError(`a key record has ${KEY_RECORD_BYTES} bytes at least, not ${bytes.length}`);
  const head = bytes.readUInt8(0);
  if (head >> 4 !== KEY_RECORD_VERSION) throw new RangeError(`a key record of version ${head >> 4} is not known`);
  const revoked = (head & REVOKED) !== 0;
  if (revoked) return true;
  if ((head & UNKNOWN_FLAGS) !== 0) throw new RangeError(`a key record with flags ${head & 0x0f} is not known`);
  if ((head & BOUNDED) === 0 && bytes.length > KEY_RECORD_BYTES)
    throw new RangeError(`a key record without bounds has ${KEY_RECORD_BYTES} bytes, not ${bytes.length}`);
  return false;
}

const applicationOf = (bytes: Buffer): Buffer => bytes.subarray(5, KEY_RECORD_BYTES);

/**
 * Whether it can be told of a key record that cannot be used that it takes nothing away: its version, at least, is known, and
 * it has no bounds, which may be narrower than those before.
 */
export function keyRecordIsReadable(bytes: Buffer): boolean {
  if (bytes.length < KEY_RECORD_BYTES) return false;
  const head = bytes.readUInt8(0);
  return head >> 4 === KEY_RECORD_VERSION && (head & BOUNDED) === 0;
}

/** Whether an application's record that cannot be used suspends it, or cannot even be asked. */
export function applicationRecordIsClosed(bytes: Buffer): boolean {
  try {
    return applicationRecord.pick({ suspended: true }).parse(JSON.parse(bytes.toString('utf8'))).suspended === true;
  } catch {
    return true;
  }
}

/** Keys and values of the other tables are text: ids in UTF-8, values in canonical JSON; a placement is 32 raw bytes. */
export const encodeText = (text: string): Buffer => Buffer.from(text, 'utf8');
export const encodeJson = (value: unknown): Buffer => Buffer.from(canonicalJson(value), 'utf8');

/** Key of a placement: `weather:v1@eu-west`, or `weather:v1@*`. */
export function placementKey(api: string, region: string): Buffer {
  return encodeText(`${api}@${region}`);
}

/** The two halves of a placement's key, or null where there is no `@`. */
export function splitPlacementKey(key: Buffer): { api: string; region: string } | null {
  const text = key.toString('utf8');
  const at = text.lastIndexOf('@');
  return at < 0 ? null : { api: text.slice(0, at), region: text.slice(at + 1) };
}

export const applicationKey = (id: string): Buffer => parseUuid(id);
export const applicationIdOf = (key: Buffer): string => stringifyUuid(key);
