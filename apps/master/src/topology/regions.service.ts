import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource, type EntityManager, MoreThan } from 'typeorm';
import { onViolation } from '../database/constraints.js';
import { RegionRow } from '../database/entities.js';
import { decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { matchIfGiven } from '../http/preconditions.js';
import { type Answer, type Caller, created, noContent, ok } from '../http/request.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import type { RegionView } from './regions.endpoints.js';

/** A region never changes: its ETag is that of its only state. */
const ONLY_VERSION = '1';

interface NewRegion {
  id: string;
  environment: string;
}

@Injectable()
export class RegionsService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
  ) {}

  create(caller: Caller, fields: NewRegion): Promise<Answer<RegionView>> {
    return this.writes.run(caller, async (tx) => {
      const view = await insertRegion(tx, fields);
      return created(view, `/v1/regions/${view.id}`, ONLY_VERSION);
    });
  }

  async list({ environment, ...page }: PageRequest & { environment?: string }): Promise<Answer<Page<RegionView>>> {
    const after = decodeCursor(page.cursor, 1)?.[0];
    const rows = await this.source.manager.find(RegionRow, {
      where: { ...(environment ? { environment } : {}), ...(after === undefined ? {} : { id: MoreThan(after) }) },
      order: { id: 'ASC' },
      take: page.limit + 1,
    });
    return ok(toPage(rows, page.limit, (row) => [row.id], viewOf));
  }

  async get(id: string): Promise<Answer<RegionView>> {
    return ok(viewOf(await one(this.source.manager, id)), ONLY_VERSION);
  }

  delete(caller: Caller, id: string): Promise<Answer<undefined>> {
    return this.writes.run(caller, async (tx) => {
      await deleteRegion(tx, id);
      return noContent();
    });
  }
}

export async function insertRegion(tx: WriteTx, { id, environment }: NewRegion): Promise<RegionView> {
  const { manager } = tx;
  const other = await manager.findOneBy(RegionRow, { id });
  const taken = (where: string) =>
    fail('conflict', `a region "${id}" exists already${where}`, {
      fields: [{ field: 'id', problem: `"${id}" is taken`, expected: 'an id that no environment uses' }],
    });
  if (other) throw taken(`, in the environment "${other.environment}"`);
  // before the insert and not by its constraint: who writes several things at once goes on to find what else is wrong
  const environments: unknown[] = await manager.query('SELECT FROM environment WHERE id = $1 FOR KEY SHARE', [
    environment,
  ]);
  if (environments.length === 0) {
    throw fail('unknown_reference', `there is no environment "${environment}"`, {
      fields: [{ field: 'environment', problem: `no environment has the id "${environment}"` }],
    });
  }
  await onViolation(manager.insert(RegionRow, { id, environment }), { region_pkey: () => taken('') });
  const view = viewOf(await one(manager, id));
  tx.audit({ action: 'region.create', target: `region/${id}`, after: view });
  return view;
}

export async function deleteRegion(tx: WriteTx, id: string): Promise<void> {
  const { manager } = tx;
  // a placement has no foreign key to its region, which may be `*`; it locks the row instead, and is waited for
  const row = await one(manager, id, true);
  matchIfGiven(tx.caller, ONLY_VERSION);
  const [uses]: { replica: string | null; api: string | null }[] = await manager.query(
    `SELECT (SELECT min(id) FROM replica WHERE region_id = $1) AS replica,
            (SELECT min(api_id) FROM placement WHERE environment_id = $2 AND region = $1) AS api`,
    [id, row.environment],
  );
  const what = uses?.replica ? `the replica "${uses.replica}"` : uses?.api ? `a placement of "${uses.api}"` : null;
  if (what) throw fail('in_use', `the region "${id}" has ${what}; delete that first`);
  await manager.delete(RegionRow, { id });
  tx.audit({ action: 'region.delete', target: `region/${id}`, before: viewOf(row) });
}

async function one(manager: EntityManager, id: string, lock = false): Promise<RegionRow> {
  const row = await manager.findOne(RegionRow, {
    where: { id },
    ...(lock ? { lock: { mode: 'pessimistic_write' } } : {}),
  });
  if (!row) throw fail('not_found', `there is no region "${id}"`);
  return row;
}

function viewOf(row: RegionRow): RegionView {
  return { id: row.id, environment: row.environment, createdAt: row.createdAt.toISOString() };
}
