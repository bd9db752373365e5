import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { plainArray } from '../database/arrays.js';
import { ApplicationRow } from '../database/entities.js';
import { AGE_AND_ID, decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { matchIfGiven, requireMatch } from '../http/preconditions.js';
import { type Answer, type Caller, created, noContent, ok } from '../http/request.js';
import { applicationMark, clientMark, keyMark } from '../publishing/index.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import type { ApplicationView } from './applications.endpoints.js';

export interface ApplicationFilter {
  name?: string;
  owner?: string;
  status?: 'active' | 'suspended';
}

interface ApplicationChange {
  name?: string;
  owner?: string | null;
  status?: 'active' | 'suspended';
}

const COLUMNS = `a.id, a.name, a.owner, a.status, a.version, a.created_at AS "createdAt", a.updated_at AS "updatedAt"`;

@Injectable()
export class ApplicationsService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
  ) {}

  create(caller: Caller, fields: { name: string; owner?: string | null }): Promise<Answer<ApplicationView>> {
    return this.writes.run(caller, async (tx) => {
      const view = await insertApplication(tx, { id: randomUUID(), ...fields });
      return created(view, `/v1/applications/${view.id}`, '1');
    });
  }

  async list(filter: ApplicationFilter, page: PageRequest): Promise<Answer<Page<ApplicationView>>> {
    const after = decodeCursor(page.cursor, 2, AGE_AND_ID);
    const query = this.source.manager
      .createQueryBuilder(ApplicationRow, 'a')
      .orderBy('a.created_at')
      .addOrderBy('a.id')
      .limit(page.limit + 1);
    for (const column of ['name', 'owner', 'status'] as const) {
      if (filter[column] !== undefined) query.andWhere(`a.${column} = :${column}`, { [column]: filter[column] });
    }
    if (after) query.andWhere('(a.created_at, a.id) > (:at::timestamptz, :id::uuid)', { at: after[0], id: after[1] });
    const rows = await query.addSelect('a.created_at::text', 'at').getRawAndEntities<{ at: string }>();
    const items = rows.entities.map((row, index) => ({ row, at: rows.raw[index]?.at ?? '' }));
    return ok(
      toPage(
        items,
        page.limit,
        ({ row, at }) => [at, row.id],
        ({ row }) => viewOf(row),
      ),
    );
  }

  async get(id: string): Promise<Answer<ApplicationView>> {
    const row = await this.source.manager.findOneBy(ApplicationRow, { id });
    if (!row) throw noSuchApplication(id);
    return ok(viewOf(row), String(row.version));
  }

  update(caller: Caller, id: string, change: ApplicationChange): Promise<Answer<ApplicationView>> {
    return this.writes.run(caller, async (tx) => {
      const row = await lockApplication(tx.manager, id);
      requireMatch(caller, String(row.version));
      const [saved] = await updateApplications(tx, [{ row, change }]);
      if (!saved) throw noSuchApplication(id);
      return ok(viewOf(saved), String(saved.version));
    });
  }

  delete(caller: Caller, id: string): Promise<Answer<undefined>> {
    return this.writes.run(caller, async (tx) => {
      await deleteApplication(tx, id);
      return noContent();
    });
  }
}

/** Thousands may come together. @param changes of rows that are locked @returns them as they are then, in no order */
export async function updateApplications(
  tx: WriteTx,
  changes: readonly { row: ApplicationRow; change: ApplicationChange }[],
): Promise<ApplicationRow[]> {
  const before = new Map(changes.map(({ row }) => [row.id, row]));
  const after = changes.map(({ row, change: { name = row.name, owner = row.owner, status = row.status } }) => ({
    id: row.id,
    name,
    owner,
    status,
  }));
  // to say what it is already is no other version
  const [rows]: [ApplicationRow[], number] = await tx.manager.query(
    `UPDATE application a SET name = n.name, owner = n.owner, status = n.status, version = a.version + n.changed::integer,
       updated_at = CASE WHEN n.changed THEN now() ELSE a.updated_at END
     FROM (
       SELECT n.*, (o.name, o.owner, o.status) IS DISTINCT FROM (n.name, n.owner, n.status) AS changed
       FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS n(id, name, owner, status) JOIN application o USING (id)
     ) n WHERE a.id = n.id RETURNING ${COLUMNS}`,
    [
      plainArray(after.map(({ id }) => id)),
      after.map(({ name }) => name),
      after.map(({ owner }) => owner),
      after.map(({ status }) => status),
    ],
  );
  const environments = await environmentsOfEach(tx.manager, [...before.keys()]);
  for (const row of rows) {
    const was = before.get(row.id);
    tx.mark(environments.get(row.id) ?? [], applicationMark(row.id));
    tx.audit({
      action: 'application.update',
      target: `application/${row.id}`,
      before: was && viewOf(was),
      after: viewOf(row),
    });
  }
  return rows;
}

export async function deleteApplication(tx: WriteTx, id: string): Promise<void> {
  const row = await lockApplication(tx.manager, id);
  matchIfGiven(tx.caller, String(row.version));
  const keys: { environment_id: string; chain_id: Buffer }[] = await tx.manager.query(
    'SELECT environment_id, chain_id FROM api_key WHERE application_id = $1',
    [id],
  );
  for (const key of keys) tx.mark([key.environment_id], keyMark(key.chain_id), applicationMark(id));
  const clients: { environment_id: string; chain_id: Buffer }[] = await tx.manager.query(
    `SELECT environment_id, chain_id FROM oauth_client WHERE application_id = $1
     UNION ALL SELECT environment_id, chain_id FROM outside_client WHERE application_id = $1 AND revoked_at IS NULL`,
    [id],
  );
  for (const client of clients) tx.mark([client.environment_id], clientMark(client.chain_id), applicationMark(id));
  await tx.manager.delete(ApplicationRow, { id });
  tx.audit({
    action: 'application.delete',
    target: `application/${id}`,
    before: { ...viewOf(row), keys: keys.length, clients: clients.length },
  });
}

export interface NewApplication {
  id: string;
  name: string;
  owner?: string | null;
}

export async function insertApplication(tx: WriteTx, application: NewApplication): Promise<ApplicationView> {
  const [view] = await insertApplications(tx, [application]);
  if (!view) throw fail('conflict', `an application "${application.id}" has just been made`);
  return view;
}

/** Thousands may come together. @returns those that were made: others have come into being meanwhile */
export async function insertApplications(
  tx: WriteTx,
  applications: readonly NewApplication[],
): Promise<ApplicationView[]> {
  const rows: ApplicationRow[] = await tx.manager.query(
    `INSERT INTO application AS a (id, name, owner) SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[])
     ON CONFLICT (id) DO NOTHING RETURNING ${COLUMNS}`,
    [
      plainArray(applications.map(({ id }) => id)),
      applications.map(({ name }) => name),
      applications.map(({ owner }) => owner ?? null),
    ],
  );
  // nothing is marked: an application is published where it has a key, and it has none yet
  const views = rows.map(viewOf);
  for (const view of views) tx.audit({ action: 'application.create', target: `application/${view.id}`, after: view });
  return views;
}

/** Locks the row: writes that concern one application come one after the other, and see each other's keys. */
export async function lockApplication(manager: EntityManager, id: string, field?: string): Promise<ApplicationRow> {
  const row = await manager.findOne(ApplicationRow, { where: { id }, lock: { mode: 'for_no_key_update' } });
  if (row) return row;
  if (field)
    throw fail('unknown_reference', `there is no application "${id}"`, {
      fields: [{ field, problem: `no application has the id ${id}` }],
    });
  throw noSuchApplication(id);
}

/** Locks applications in one order. @returns those that there are, by id */
export async function lockApplications(
  manager: EntityManager,
  ids: readonly string[],
): Promise<Map<string, ApplicationRow>> {
  const rows: ApplicationRow[] = await manager.query(
    `SELECT ${COLUMNS} FROM application a WHERE a.id = ANY ($1::uuid[]) ORDER BY a.id FOR NO KEY UPDATE`,
    [plainArray([...new Set(ids)])],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

/** The environments whose chains carry the application: those in which it has keys or clients. Read after it was locked. */
export async function environmentsOf(manager: EntityManager, application: string): Promise<string[]> {
  return (await environmentsOfEach(manager, [application])).get(application) ?? [];
}

/** The same of many, by application; without those that are in none. */
export async function environmentsOfEach(
  manager: EntityManager,
  applications: readonly string[],
): Promise<Map<string, string[]>> {
  const rows: { application: string; environments: string[] }[] = await manager.query(
    `SELECT application_id AS application, array_agg(DISTINCT environment_id) AS environments
     FROM credential WHERE application_id = ANY ($1::uuid[]) GROUP BY 1`,
    [plainArray([...new Set(applications)])],
  );
  return new Map(rows.map(({ application, environments }) => [application, environments]));
}

export function noSuchApplication(id: string): Error {
  return fail('not_found', `there is no application "${id}"`);
}

function viewOf(row: ApplicationRow): ApplicationView {
  return {
    id: row.id,
    name: row.name,
    owner: row.owner,
    status: row.status,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}
