import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
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

@Injectable()
export class ApplicationsService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
  ) {}

  create(caller: Caller, fields: { name: string; owner?: string | null }): Promise<Answer<ApplicationView>> {
    return this.writes.run(caller, async (tx) => {
      const view = await insertApplication(tx, randomUUID(), fields);
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

  update(
    caller: Caller,
    id: string,
    change: { name?: string; owner?: string | null; status?: 'active' | 'suspended' },
  ): Promise<Answer<ApplicationView>> {
    return this.writes.run(caller, async (tx) => {
      const row = await lockApplication(tx.manager, id);
      requireMatch(caller, String(row.version));
      const before = viewOf(row);
      if (change.name !== undefined) row.name = change.name;
      if (change.owner !== undefined) row.owner = change.owner;
      if (change.status !== undefined) row.status = change.status;
      const saved = await tx.manager.save(row);
      const view = viewOf(saved);
      tx.mark(await environmentsOf(tx.manager, id), applicationMark(id));
      tx.audit({ action: 'application.update', target: `application/${id}`, before, after: view });
      return ok(view, String(saved.version));
    });
  }

  delete(caller: Caller, id: string): Promise<Answer<undefined>> {
    return this.writes.run(caller, async (tx) => {
      const row = await lockApplication(tx.manager, id);
      matchIfGiven(caller, String(row.version));
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
      return noContent();
    });
  }
}

/** Also used by the bulk import, which brings its own ids. */
export async function insertApplication(
  tx: WriteTx,
  id: string,
  fields: { name: string; owner?: string | null },
): Promise<ApplicationView> {
  await tx.manager.insert(ApplicationRow, { id, name: fields.name, owner: fields.owner ?? null, status: 'active' });
  const view = viewOf(await tx.manager.findOneByOrFail(ApplicationRow, { id }));
  // nothing is marked: an application is published where it has a key, and it has none yet
  tx.audit({ action: 'application.create', target: `application/${id}`, after: view });
  return view;
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

/** The environments whose chains carry the application: those in which it has keys or clients. Read after `lockApplication`. */
export async function environmentsOf(manager: EntityManager, application: string): Promise<string[]> {
  const rows: { environment_id: string }[] = await manager.query(
    'SELECT DISTINCT environment_id FROM credential WHERE application_id = $1',
    [application],
  );
  return rows.map((row) => row.environment_id);
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
