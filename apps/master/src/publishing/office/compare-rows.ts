import { TABLE } from '#model';
import { columns, type Entry, entryName, idOf } from '../entries.js';
import { LOADERS } from '../loaders.js';
import { isDataFault, readRows } from '../read-rows.js';
import type { Session, Statement } from '../session.js';
import type { Restore } from './restore.js';

const AT_A_TIME = 1_000;
/** What a restore says one by one; beyond, it counts. */
const MOST_ITEMS = 10_000;

/**
 * Releases come and go with placements, and are large; of the keys that sign the chain the rows follow what it says
 * (`followTrustedKeys`); what this build does not know stays as the chain has it.
 */
const COMPARED = [...LOADERS.keys()].filter((table) => table !== TABLE.release && table !== TABLE.setting);

const PUBLISHED: Statement = {
  name: 'compare_published',
  text: `SELECT table_id AS "table", key, value FROM published_entry
         WHERE environment_id = $1 AND table_id = $2 AND key > $3 ORDER BY key LIMIT ${AT_A_TIME}`,
};
/** What the chain may lack. Applications come along with their keys, releases with their placements. */
const ONLY_ROWS: Statement = {
  name: 'compare_only_rows',
  text: `SELECT e.table_id AS "table", e.key FROM (
           SELECT ${TABLE.plan} AS table_id, convert_to(id, 'UTF8') AS key FROM plan
           UNION ALL SELECT ${TABLE.placement}, convert_to(api_id || '@' || region, 'UTF8') FROM placement WHERE environment_id = $1
           UNION ALL SELECT ${TABLE.client}, chain_id FROM oauth_client WHERE environment_id = $1 AND revoked_at IS NULL
           UNION ALL SELECT ${TABLE.client}, chain_id FROM outside_client WHERE environment_id = $1 AND revoked_at IS NULL
           UNION ALL SELECT ${TABLE.jwks}, convert_to(issuer, 'UTF8') FROM token_issuer WHERE environment_id = $1
           UNION ALL SELECT ${TABLE.revoked_token}, chain_id FROM revoked_token WHERE environment_id = $1
           UNION ALL SELECT ${TABLE.jwks}, convert_to(issuer, 'UTF8') FROM token_authority
             WHERE EXISTS (SELECT FROM token_key WHERE environment_id = $1)
         ) AS e WHERE NOT EXISTS (SELECT FROM published_entry p WHERE p.environment_id = $1 AND p.table_id = e.table_id AND p.key = e.key)`,
};
const KEYS: Statement = {
  name: 'compare_keys',
  text: `SELECT k.chain_id AS key, p.key IS NULL AS missing FROM (
           SELECT chain_id FROM api_key WHERE environment_id = $1 AND chain_id > $2 AND forgotten_at IS NULL ORDER BY chain_id LIMIT ${AT_A_TIME}
         ) AS k LEFT JOIN LATERAL (
           SELECT key FROM published_entry WHERE environment_id = $1 AND table_id = ${TABLE.key} AND key = k.chain_id OFFSET 0
         ) AS p ON true ORDER BY k.chain_id`,
};
const MARK: Statement = {
  name: 'compare_mark',
  text: `WITH e AS (SELECT * FROM unnest($2::smallint[], $3::bytea[], $4::text[], $5::text[]) AS e (table_id, key, target, change)),
    marked AS (INSERT INTO outbox (environment_id, table_id, key) SELECT $1, e.table_id, e.key FROM e)
    INSERT INTO restore_item (restore_id, kind, what, key, target, detail)
    SELECT $6, 'changed', e.change, e.key, e.target, NULL FROM e WHERE $7 ON CONFLICT DO NOTHING`,
};

type Difference = Entry & { change: 'added' | 'changed' | 'removed' };

/**
 * Marks every entry of which the rows say something else than the chain, in transactions of bounded size, so that the
 * publisher looks at it: the chain then follows the rows. To do it again does no harm.
 *
 * @returns how many there are
 */
export async function markDifferences(session: Session, restore: Restore): Promise<number> {
  const { environment } = restore;
  let count = 0;
  const mark = async (differences: readonly Difference[]): Promise<void> => {
    for (let at = 0; at < differences.length; at += AT_A_TIME) {
      const some = differences.slice(at, at + AT_A_TIME);
      const names = some.map(entryName);
      const changes = some.map(({ change }) => change);
      await session.rows(MARK, [environment, ...columns(some), names, changes, restore.id, count < MOST_ITEMS]);
      count += some.length;
    }
  };
  for (const table of COMPARED) {
    for (let after: Buffer = Buffer.alloc(0); ; ) {
      const page = await session.rows<Entry & { value: Buffer }>(PUBLISHED, [environment, table, after]);
      await mark(await differing(session, environment, page));
      const last = page.at(-1);
      if (!last) break;
      after = last.key;
    }
  }
  const more = await session.rows<Entry>(ONLY_ROWS, [environment]);
  await mark(more.map((entry) => ({ ...entry, change: 'added' })));
  for (let after: Buffer = Buffer.alloc(0); ; ) {
    const page = await session.rows<{ key: Buffer; missing: boolean }>(KEYS, [environment, after]);
    const missing = page.filter((row) => row.missing);
    await mark(missing.map(({ key }) => ({ table: TABLE.key, key, change: 'added' })));
    const last = page.at(-1);
    if (!last) return count;
    after = last.key;
  }
}

async function differing(
  session: Session,
  environment: string,
  page: readonly (Entry & { value: Buffer })[],
): Promise<Difference[]> {
  const read = (careful: boolean) =>
    session.transaction('REPEATABLE READ', () => readRows(session, environment, page, careful));
  const rows = await read(false).catch((error: unknown) => {
    if (!isDataFault(error)) throw error;
    return read(true);
  });
  return page.flatMap(({ table, key, value }): Difference[] => {
    const row = rows.get(idOf({ table, key }));
    if (!row) return [{ table, key, change: 'removed' }];
    // of what cannot be used the publisher complains when it looks at it
    return 'value' in row && row.value.equals(value) ? [] : [{ table, key, change: 'changed' }];
  });
}
