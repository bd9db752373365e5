import { DEFAULT_REGION } from '#model';
import type { DataSource } from 'typeorm';
import type { Kind } from './documents.js';

const BATCH = 100;

/**
 * The documents that there are, a line each, in the order in which they are applied, of one snapshot. Reads some at a time, as fast
 * as they are taken; its connection is its own as long as that takes.
 *
 * @param set null: of every set, and of none
 */
export async function* exportDocuments(
  source: DataSource,
  set: string | null,
  kinds: readonly Kind[],
): AsyncGenerator<string> {
  const runner = source.createQueryRunner();
  try {
    await runner.startTransaction('REPEATABLE READ');
    for (const kind of kinds) {
      // a cursor: pages by key would sort all that is left for each of them
      await runner.query(`DECLARE documents NO SCROLL CURSOR FOR ${QUERIES[kind]}`, [set]);
      for (let rows: Row[] | null = null; rows === null || rows.length === BATCH; ) {
        rows = (await runner.query(`FETCH ${BATCH} FROM documents`)) as Row[];
        if (rows.length > 0) yield rows.map(({ document }) => `${JSON.stringify(shaped(document))}\n`).join('');
      }
      await runner.query('CLOSE documents');
    }
  } finally {
    await runner.rollbackTransaction().catch(() => undefined); // nothing was written; a connection that broke is gone with it
    await runner.release();
  }
}

interface Row {
  document: Record<string, unknown>;
}

/** The way a document says it; without what has its default. */
function shaped({ definition, served, ...document }: Record<string, unknown>): object {
  const fields = Object.fromEntries(Object.entries(document).filter(([, value]) => value !== null));
  if (typeof definition !== 'string') return fields;
  const { name: _, version: __, context: ___, ...release } = JSON.parse(definition) as Record<string, unknown>;
  const serve = Object.entries((served ?? {}) as Record<string, string[]>).flatMap<[string, unknown]>(
    ([environment, regions]) => {
      if (!regions.includes(DEFAULT_REGION)) return [[environment, regions]];
      return regions.length === 1 ? [[environment, DEFAULT_REGION]] : []; // both: a document has no words for it
    },
  );
  return { ...fields, definition: release, ...(serve.length > 0 ? { serve: Object.fromEntries(serve) } : {}) };
}

const documentsOf = (key: string, from: string, document: string): string => `
  SELECT json_build_object(${document}) AS document FROM ${from} ORDER BY ${key}`;
const owned = (table: string): string => `($1::text IS NULL OR ${table}.apply_set = $1)`;

/** Releases that are not the newest, and placements after the first stages of a pipeline, are what promotions have made. */
const SERVED = `
  SELECT jsonb_object_agg(s.environment, s.regions) FROM (
    SELECT p.environment_id AS environment, jsonb_agg(p.region ORDER BY p.region) AS regions
    FROM placement p JOIN environment e ON e.id = p.environment_id
    WHERE p.api_id = a.id AND NOT EXISTS (SELECT FROM environment b WHERE b.position < e.position)
    GROUP BY p.environment_id HAVING bool_and(p.digest = r.digest)
  ) s`;

/** Documents of the set $1, or all. */
const QUERIES: Record<Kind, string> = {
  environment: documentsOf(
    'e.id',
    `environment e WHERE ${owned('e')}`,
    `'kind', 'environment', 'id', e.id, 'position', e.position`,
  ),
  region: documentsOf(
    'g.id',
    `region g WHERE ${owned('g')}`,
    `'kind', 'region', 'id', g.id, 'environment', g.environment_id`,
  ),
  plan: documentsOf(
    'p.id',
    `plan p WHERE ${owned('p')}`,
    `'kind', 'plan', 'id', p.id, 'rate', p.rate, 'quota', p.quota, 'perRoute', p.per_route, 'perApi', p.per_api`,
  ),
  api: documentsOf(
    'a.id',
    `api a LEFT JOIN LATERAL (
       SELECT digest, convert_from(definition, 'UTF8') AS definition FROM release WHERE api_id = a.id
       ORDER BY coalesce(applied_at, created_at) DESC, digest DESC LIMIT 1
     ) r ON true WHERE ${owned('a')}`,
    `'kind', 'api', 'name', a.name, 'version', a.version, 'context', a.context, 'definition', r.definition, 'served', (${SERVED})`,
  ),
  application: documentsOf(
    'a.id',
    `application a WHERE ${owned('a')}`,
    `'kind', 'application', 'id', coalesce(a.apply_id, a.id::text), 'name', a.name, 'owner', a.owner, 'status', nullif(a.status, 'active')`,
  ),
  subscription: documentsOf(
    's.application_id, s.api_id',
    `subscription s JOIN application a ON a.id = s.application_id WHERE ${owned('s')}`,
    `'kind', 'subscription', 'application', coalesce(a.apply_id, a.id::text), 'api', s.api_id, 'plan', s.plan_id`,
  ),
  'promotion-policy': documentsOf(
    'm.environment_id',
    `promotion_policy m WHERE ${owned('m')}`,
    `'kind', 'promotion-policy', 'environment', m.environment_id, 'approvals', m.approvals`,
  ),
  webhook: documentsOf(
    'w.id',
    `webhook w WHERE ${owned('w')}`,
    `'kind', 'webhook', 'id', coalesce(w.apply_id, w.id::text), 'url', w.url, 'types', w.types, 'environments', w.environments,
     'description', w.description, 'enabled', nullif(w.enabled, true)`,
  ),
};
