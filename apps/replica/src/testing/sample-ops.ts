import { hash, randomUUID } from 'node:crypto';
import {
  applicationKey,
  encodeJson,
  encodeKeyRecord,
  encodeText,
  KEY_ID_BYTES,
  type Op,
  placementKey,
  TABLE,
} from '#model';

export const APPLICATION = '0b7a9c51-5f6f-4a55-9d5e-6b0a3c1f2d4e';

/** A small valid definition of `weather:v1` or another API. */
export function sampleDefinition(
  name = 'weather',
  target = 'http://127.0.0.1:9',
  version = 'v1',
): Record<string, unknown> {
  return {
    name,
    version,
    context: `/${name}/${version}`,
    routes: [{ method: 'GET', path: '/today' }],
    upstream: { targets: [{ url: target }] },
    security: 'key',
    plans: ['gold'],
  };
}

/** The release of a definition, whether or not it is valid, under its right digest. */
export function releaseOp(definition: unknown): Op {
  const value = encodeJson(definition);
  return { table: TABLE.release, key: hash('sha256', value, 'buffer'), value };
}

export function placementOp(api: string, region: string, release: Op | null): Op {
  return { table: TABLE.placement, key: placementKey(api, region), value: release && release.key };
}

export function planOp(id: string, limits: unknown = { rate: null, quota: null }): Op {
  return { table: TABLE.plan, key: encodeText(id), value: encodeJson(limits) };
}

export function applicationOp(id = APPLICATION, api = 'weather:v1', plan = 'gold'): Op {
  return {
    table: TABLE.application,
    key: applicationKey(id),
    value: encodeJson({ name: 'app', subscriptions: [{ id: randomUUID(), api, plan }] }),
  };
}

export function keyOp(secret: string, revoked = false): Op {
  const key = hash('sha256', secret, 'buffer').subarray(0, KEY_ID_BYTES);
  return { table: TABLE.key, key, value: encodeKeyRecord({ application: APPLICATION, revoked, expiresAt: null }) };
}

export function gone(op: Op): Op {
  return { ...op, value: null };
}
