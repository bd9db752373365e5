import type { Signer } from '#artifacts';
import type { EntityManager } from 'typeorm';
import { oneWebhook } from '../webhooks/webhook-rows.js';
import { isSignedBy } from '../webhooks/webhook-secret.js';
import type { Kind } from './documents.js';
import type { Fields, Wanted } from './read-documents.js';

/** What there is. */
export interface Found {
  kind: Kind;
  key: string;
  id: string;
  /** null: it belongs to nobody's documents */
  set: string | null;
  fields: Fields;
  /** whether a document gives another secret */
  secretDiffers?: true;
}

interface Row {
  key: string;
  id?: string;
  set: string | null;
}

/** Where releases are placed: by environment, then by region. */
type Served = Record<string, Record<string, string>>;

/** What documents are compared with. */
export interface Standing {
  things: Map<string, Found>;
  /** the pipeline */
  environments: { id: string; position: number }[];
}

/**
 * Reads what the documents are about, and what belongs to the set, locked: it stays as it is until the transaction has
 * ended. The locks are in one order, and leave alone who only refers to a row.
 */
export async function readStanding(
  manager: EntityManager,
  set: string,
  wanted: readonly Wanted[],
  signer: Signer,
): Promise<Standing> {
  const things = new Map<string, Found>();
  const keysOf = (kind: Kind): string[] => wanted.flatMap((one) => (one.kind === kind ? [one.key] : []));
  const read = async (kind: Kind, keys: readonly string[]): Promise<void> => {
    const rows: Row[] = await manager.query(QUERIES[kind], [keys, set]);
    for (const { key, id = key, set: owner, ...fields } of rows)
      things.set(`${kind} ${key}`, { kind, key, id, set: owner, fields });
  };
  await read('environment', keysOf('environment'));
  await read('region', keysOf('region'));
  await read('plan', keysOf('plan'));
  await read('api', keysOf('api'));
  await read('application', keysOf('application'));
  await read('subscription', keysOf('subscription'));
  await read('promotion-policy', keysOf('promotion-policy'));
  await read('webhook', keysOf('webhook'));
  await readServed(manager, things);
  await compareSecrets(manager, things, wanted, signer);
  return { things, environments: await manager.query('SELECT id, position FROM environment') };
}

/** Placements are not locked: whoever places compares once more (execute.ts). */
async function readServed(manager: EntityManager, things: Map<string, Found>): Promise<void> {
  const apis = [...things.values()].filter(({ kind }) => kind === 'api');
  const served = new Map<string, Served>(apis.map(({ id }) => [id, {}]));
  const rows: { api: string; environment: string; region: string; release: string }[] = await manager.query(
    `SELECT api_id AS api, environment_id AS environment, region, encode(digest, 'hex') AS release
     FROM placement WHERE api_id = ANY($1::text[]) ORDER BY 1, 2, 3`,
    [[...served.keys()]],
  );
  for (const { api, environment, region, release } of rows) {
    const ofApi = served.get(api);
    if (ofApi) (ofApi[environment] ??= {})[region] = release;
  }
  for (const api of apis) api.fields.serve = served.get(api.id);
}

/** One that was sealed under another signing key of the chain is another one: writing it once more makes it usable. */
async function compareSecrets(
  manager: EntityManager,
  things: Map<string, Found>,
  wanted: readonly Wanted[],
  signer: Signer,
): Promise<void> {
  for (const { document, key } of wanted) {
    if (document.kind !== 'webhook' || document.secret === undefined) continue;
    const found = things.get(`webhook ${key}`);
    if (!found) continue;
    const { secrets } = await oneWebhook(manager, key); // there are a hundred at most
    if (!isSignedBy(secrets, document.secret, signer)) found.secretDiffers = true;
  }
}

const OWNED = 'ORDER BY 1 FOR NO KEY UPDATE';

const QUERIES: Record<Kind, string> = {
  // their placements are locked by an update of the row, which they need not wait for
  environment: `
    SELECT id AS key, apply_set AS set, position FROM environment
    WHERE id = ANY($1::text[]) OR apply_set = $2 ORDER BY 1 FOR KEY SHARE`,
  region: `
    SELECT id AS key, apply_set AS set, environment_id AS environment FROM region
    WHERE id = ANY($1::text[]) OR apply_set = $2 ${OWNED}`,
  plan: `
    SELECT id AS key, apply_set AS set, rate, quota, per_route AS "perRoute", per_api AS "perApi" FROM plan
    WHERE id = ANY($1::text[]) OR apply_set = $2 ${OWNED}`,
  api: `
    SELECT a.id AS key, a.apply_set AS set, a.context, encode(r.digest, 'hex') AS release
    FROM api a LEFT JOIN LATERAL (
      SELECT digest FROM release WHERE api_id = a.id ORDER BY coalesce(applied_at, created_at) DESC, digest DESC LIMIT 1
    ) r ON true
    WHERE a.id = ANY($1::text[]) OR a.apply_set = $2 ${OWNED} OF a`,
  application: `
    SELECT id::text AS key, coalesce(apply_id, id::text) AS id, apply_set AS set, name, owner, status FROM application
    WHERE id = ANY($1::uuid[]) OR apply_set = $2 ${OWNED}`,
  subscription: `
    SELECT s.application_id || '/' || s.api_id AS key, coalesce(a.apply_id, a.id::text) || '/' || s.api_id AS id,
           s.apply_set AS set, s.plan_id AS plan
    FROM subscription s JOIN application a ON a.id = s.application_id
    WHERE s.apply_set = $2
       OR s.application_id = ANY(ARRAY(SELECT split_part(k, '/', 1)::uuid FROM unnest($1::text[]) k))
          AND s.application_id || '/' || s.api_id = ANY($1::text[])
    ${OWNED} OF s`,
  'promotion-policy': `
    SELECT environment_id AS key, apply_set AS set, approvals FROM promotion_policy
    WHERE environment_id = ANY($1::text[]) OR apply_set = $2 ${OWNED}`,
  webhook: `
    SELECT id::text AS key, coalesce(apply_id, id::text) AS id, apply_set AS set, url, types, environments, description, enabled
    FROM webhook WHERE id = ANY($1::uuid[]) OR apply_set = $2 ${OWNED}`,
};
