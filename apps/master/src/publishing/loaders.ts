import { hash } from 'node:crypto';
import { LIMITS } from '#artifacts';
import {
  applicationIdOf,
  applicationKey,
  applicationRecord,
  encodeJson,
  encodeKeyRecord,
  encodeText,
  encodeTrustedKeys,
  placementKey,
  planRecord,
  splitPlacementKey,
  TABLE,
  TRUSTED_KEYS_SETTING,
} from '#model';
import { attempt, isText, type Loaded, type Loader, tooLarge } from './loaded.js';
import type { Statement } from './session.js';
import { TOKEN_LOADERS } from './token-loaders.js';

/** What is asked for does not fit one revision; less of it will. */
export class TooLarge extends Error {}

const KEYS: Statement = {
  name: 'rows_key',
  text: `SELECT k.* FROM unnest($2::bytea[]) AS e (key) CROSS JOIN LATERAL (
           SELECT chain_id AS key, application_id AS application, expires_at, revoked_at IS NOT NULL AS revoked, scopes, ips
           FROM api_key WHERE environment_id = $1 AND chain_id = e.key AND forgotten_at IS NULL OFFSET 0
         ) AS k`,
};
const loadKeys: Loader = async (session, environment, keys) => {
  const rows = await session.rows<{
    key: Buffer;
    application: string;
    expires_at: Date | number | null;
    revoked: boolean;
    scopes: string[] | null;
    ips: string[] | null;
  }>(KEYS, [environment, keys]);
  return rows.map(({ key, application, expires_at: expiry, revoked, scopes, ips }) =>
    attempt(key, () => {
      // what expired before 1970 says so, and does not become the zero that means never; PostgreSQL's infinity does
      const expiresAt = expiry === null || expiry === Infinity ? null : Math.max(1000, Number(expiry));
      return encodeKeyRecord({ application, revoked, expiresAt, scopes: scopes ?? undefined, ips: ips ?? undefined });
    }),
  );
};

const APPLICATIONS: Statement = {
  name: 'rows_application',
  text: `SELECT a.* FROM unnest($2::uuid[]) AS e (id) CROSS JOIN LATERAL (
           SELECT id, name, status = 'suspended' AS suspended,
             (SELECT coalesce(json_agg(json_build_object('id', s.id, 'api', s.api_id, 'plan', s.plan_id) ORDER BY s.id), '[]')
              FROM subscription s WHERE s.application_id = e.id) AS subscriptions
           FROM application WHERE id = e.id AND EXISTS (SELECT FROM credential k WHERE k.application_id = e.id AND k.environment_id = $1) OFFSET 0
         ) AS a`,
};
/** Only applications that have a key or a client on the chain, in whatever state. */
const loadApplications: Loader = async (session, environment, keys) => {
  type Row = { id: string; name: string; suspended: boolean; subscriptions: unknown };
  const rows = await session.rows<Row>(APPLICATIONS, [
    environment,
    keys.filter((key) => key.length === 16).map(applicationIdOf),
  ]);
  return rows.map(({ id, name, suspended, subscriptions }) =>
    attempt(applicationKey(id), () =>
      encodeJson(applicationRecord.parse({ name, ...(suspended ? { suspended } : {}), subscriptions })),
    ),
  );
};

const PLANS: Statement = {
  name: 'rows_plan',
  text: 'SELECT p.* FROM unnest($1::text[]) AS e (id) CROSS JOIN LATERAL (SELECT id, rate, quota, per_route, per_api FROM plan WHERE id = e.id OFFSET 0) AS p',
};
const loadPlans: Loader = async (session, _environment, keys) => {
  type Row = { id: string; rate: unknown; quota: unknown; per_route: unknown; per_api: unknown };
  const rows = await session.rows<Row>(PLANS, [keys.filter(isText).map(String)]);
  return rows.map(({ id, rate, quota, per_route: perRoute, per_api: perApi }) => {
    // left out where there is none: replicas of before know no such field
    const scopes = { ...(perRoute === null ? {} : { perRoute }), ...(perApi === null ? {} : { perApi }) };
    return attempt(encodeText(id), () => encodeJson(planRecord.parse({ rate, quota, ...scopes })));
  });
};

const PLACEMENTS: Statement = {
  name: 'rows_placement',
  text: `SELECT p.* FROM unnest($2::text[], $3::text[]) AS e (api, region) CROSS JOIN LATERAL (
           SELECT api_id AS api, region, digest FROM placement WHERE environment_id = $1 AND api_id = e.api AND region = e.region OFFSET 0
         ) AS p`,
};
const loadPlacements: Loader = async (session, environment, keys) => {
  const places = keys
    .filter(isText)
    .map(splitPlacementKey)
    .filter((place) => place !== null);
  const rows = await session.rows<{ api: string; region: string; digest: Buffer }>(PLACEMENTS, [
    environment,
    places.map(({ api }) => api),
    places.map(({ region }) => region),
  ]);
  return rows.map(({ api, region, digest }) =>
    digest.length === 32
      ? { key: placementKey(api, region), value: digest }
      : { key: placementKey(api, region), problem: `its digest has ${digest.length} bytes` },
  );
};

const RELEASES: Statement = {
  name: 'rows_release',
  text: 'SELECT r.* FROM unnest($1::bytea[]) AS e (key) CROSS JOIN LATERAL (SELECT digest AS key, definition AS value FROM release WHERE digest = e.key OFFSET 0) AS r',
};
const RELEASE_SIZES: Statement = {
  name: 'sizes_release',
  text: 'SELECT r.* FROM unnest($1::bytea[]) AS e (key) CROSS JOIN LATERAL (SELECT digest AS key, octet_length(definition) AS size FROM release WHERE digest = e.key OFFSET 0) AS r',
};
const BYTES_AT_A_TIME = 4 * 1024 * 1024;

/** Definitions may be a thousand times as large as any other record: their sizes come first. */
const loadReleases: Loader = async (session, _environment, keys) => {
  const sizes = await session.rows<{ key: Buffer; size: number }>(RELEASE_SIZES, [keys]);
  const loaded: Loaded[] = [];
  const fitting = sizes.filter(({ key, size }) => {
    if (size > LIMITS.valueBytes) loaded.push({ key, problem: tooLarge(size) });
    return size <= LIMITS.valueBytes;
  });
  if (fitting.reduce((sum, { size }) => sum + size, 0) > LIMITS.bodyBytes) throw new TooLarge();
  while (fitting.length > 0) {
    let [count, bytes] = [0, 0];
    for (; count < fitting.length && bytes < BYTES_AT_A_TIME; count++) bytes += fitting[count]?.size ?? 0;
    const rows = await session.rows<{ key: Buffer; value: Buffer }>(RELEASES, [
      fitting.splice(0, count).map(({ key }) => key),
    ]);
    for (const { key, value } of rows) {
      const genuine = hash('sha256', value, 'buffer').equals(key);
      loaded.push(genuine ? { key, value } : { key, problem: 'the SHA-256 of its definition is not its digest' });
    }
  }
  return loaded;
};

const SIGNING_KEYS: Statement = {
  name: 'rows_signing_key',
  text: 'SELECT public_key FROM signing_key WHERE retired_at IS NULL',
};
/** One entry, from the first rotation on; the same in every environment. */
const loadSettings: Loader = async (session, _environment, keys) => {
  const wanted = keys.filter((key) => key.equals(TRUSTED_KEYS_SETTING));
  const rows = wanted.length === 0 ? [] : await session.rows<{ public_key: string }>(SIGNING_KEYS, []);
  if (rows.length === 0) return [];
  return wanted.map((key) => attempt(key, () => encodeTrustedKeys(rows.map(({ public_key: text }) => text))));
};

/** The tables that this build publishes. */
export const LOADERS: ReadonlyMap<number, Loader> = new Map([
  [TABLE.key, loadKeys],
  [TABLE.application, loadApplications],
  [TABLE.plan, loadPlans],
  [TABLE.placement, loadPlacements],
  [TABLE.release, loadReleases],
  [TABLE.setting, loadSettings],
  ...TOKEN_LOADERS,
]);
