import {
  type ApplicationRecord,
  apiIdOf,
  applicationKey,
  type Definition,
  definition as definitionSchema,
  encodeJson,
  encodeKeyRecord,
  KEY_ID_BYTES,
  type KeyRecord,
  type Op,
  secretHash,
  TABLE,
} from '#model';
import { placementOp, releaseOp } from './sample-ops.js';

/** A definition with everything that a test does not care about. */
export function definitionOf(more: Partial<Definition> = {}): Definition {
  return definitionSchema.parse({
    name: 'weather',
    version: 'v1',
    context: '/weather/v1',
    routes: [{ method: 'GET', path: '/today' }],
    upstream: { targets: [{ url: 'http://127.0.0.1:1' }] },
    security: 'key',
    plans: ['gold'],
    ...more,
  });
}

/** A release, and its placement in a region (`*`: everywhere). */
export function placed(definition: Definition, region = '*'): Op[] {
  const release = releaseOp(definition);
  return [release, placementOp(apiIdOf(definition), region, release)];
}

export const APPLICATION = '0b5ad1ce-8f0d-4a35-9d7e-000000000001';
export const SUBSCRIPTION = '0b5ad1ce-8f0d-4a35-9d7e-0000000000f1';

/** @param subscriptions API -> plan */
export function applicationOp(
  subscriptions: Record<string, string>,
  id = APPLICATION,
  more: Partial<ApplicationRecord> = {},
): Op {
  const list = Object.entries(subscriptions).map(([api, plan], i) => ({
    id: i === 0 ? SUBSCRIPTION : SUBSCRIPTION.replace(/f1$/, `f${i + 1}`),
    api,
    plan,
  }));
  return {
    table: TABLE.application,
    key: applicationKey(id),
    value: encodeJson({ name: 'demo', subscriptions: list, ...more }),
  };
}

export function keyOp(secret: string, more: Partial<KeyRecord> = {}): Op {
  const record = { application: APPLICATION, revoked: false, expiresAt: null, ...more };
  return { table: TABLE.key, key: secretHash(secret).subarray(0, KEY_ID_BYTES), value: encodeKeyRecord(record) };
}
