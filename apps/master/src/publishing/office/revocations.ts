import { keyIdOf } from '#artifacts';
import {
  applicationIdOf,
  applicationKey as uuidBytes,
  type ApplicationRecord,
  applicationRecord,
  decodeKeyRecord,
  decodeTrustedKeys,
  type KeyRecord,
  type Op,
  TABLE,
  TRUSTED_KEYS_SETTING,
} from '#model';
import { entryName } from '../entries.js';
import { boundsOf, type Revocation, type Revocations } from './revocation.js';
import { tokenRevocationsIn } from './token-revocations.js';

/**
 * What a change takes away, and what it gives back. A record that this build cannot read says nothing here: replicas
 * cannot use it either.
 *
 * @param before what the chain said until then
 */
export function revocationsIn({ table, key, value }: Op, before: Buffer | null): Revocations {
  try {
    if (table === TABLE.key) return ofKey(key, before && decodeKeyRecord(before), value && decodeKeyRecord(value));
    if (table === TABLE.application)
      return ofApplication(key, before && application(before), value && application(value));
    if (table === TABLE.setting && key.equals(TRUSTED_KEYS_SETTING)) return ofTrustedKeys(before, value);
    return tokenRevocationsIn({ table, key, value }, before);
  } catch {
    return { made: [], undone: [] }; // cannot be read
  }
}

function ofKey(key: Buffer, before: KeyRecord | null, after: KeyRecord | null): Revocations {
  const target = entryName({ table: TABLE.key, key });
  if (!after || after.revoked)
    return { made: before?.revoked ? [] : [{ what: 'key', key, target, detail: null }], undone: [] };
  const undone: Revocations['undone'] = [{ what: 'key', key }];
  if (!before) return { made: [], undone };
  const { expiresAt } = after;
  const made: Revocation[] = [];
  if (expiresAt !== null && expiresAt < (before.expiresAt ?? Number.POSITIVE_INFINITY))
    made.push({ what: 'expiry', key, target, detail: { expiresAt } });
  else if (expiresAt !== before.expiresAt) undone.push({ what: 'expiry', key });
  // wider ones, too: what was narrowed before them is then to be as wide as this
  const [was, bounds] = [boundsOf(before), boundsOf(after)];
  if (JSON.stringify(was) !== JSON.stringify(bounds)) made.push({ what: 'key-bounds', key, target, detail: bounds });
  return { made, undone };
}

function ofApplication(key: Buffer, before: ApplicationRecord | null, after: ApplicationRecord | null): Revocations {
  if (!after) return { made: [], undone: [] }; // it has no key any more: each was taken away by itself
  const id = applicationIdOf(key);
  const now = new Set(after.subscriptions.map((subscription) => subscription.id));
  const gone = (before?.subscriptions ?? []).filter((subscription) => !now.has(subscription.id));
  const made: Revocation[] = gone.map(({ id: subscription, api, plan }) => ({
    what: 'subscription',
    key: uuidBytes(subscription),
    target: `subscription ${subscription}`,
    detail: { application: id, api, plan },
  }));
  const undone: Revocations['undone'] = [...now].map((subscription) => ({
    what: 'subscription',
    key: uuidBytes(subscription),
  }));
  const suspension = { what: 'suspension', key } as const;
  if (after.suspended && !before?.suspended) made.push({ ...suspension, target: `application ${id}`, detail: null });
  if (!after.suspended) undone.push(suspension);
  return { made, undone };
}

function ofTrustedKeys(before: Buffer | null, after: Buffer | null): Revocations {
  const now = after && decodeTrustedKeys(after);
  if (!now) return { made: [], undone: [] }; // whom nobody can read does not take the place of those before
  const gone = ((before && decodeTrustedKeys(before)) ?? []).filter((publicKey) => !now.includes(publicKey));
  const made = gone.map((publicKey): Revocation => {
    const key = Buffer.from(publicKey, 'base64');
    const keyId = keyIdOf(key).toString('hex');
    return { what: 'signing-key', key, target: `signing-key/${keyId}`, detail: { publicKey, keyId } };
  });
  return { made, undone: now.map((publicKey) => ({ what: 'signing-key', key: Buffer.from(publicKey, 'base64') })) };
}

function application(value: Buffer): ApplicationRecord {
  return applicationRecord.parse(JSON.parse(value.toString('utf8')));
}
