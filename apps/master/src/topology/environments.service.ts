import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, type HelioError } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { onViolation } from '../database/constraints.js';
import { EnvironmentRow } from '../database/entities.js';
import { decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { matchIfGiven } from '../http/preconditions.js';
import { type Answer, type Caller, created, noContent, ok } from '../http/request.js';
import { markEnvironment } from '../publishing/index.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import type { EnvironmentView } from './environments.endpoints.js';

/** An environment never changes: its ETag is that of its only state. */
const ONLY_VERSION = '1';
const CURSOR = [/^\d{1,7}$/, /^[a-z0-9-]+$/];

interface NewEnvironment {
  id: string;
  position: number;
}

@Injectable()
export class EnvironmentsService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
  ) {}

  create(caller: Caller, fields: NewEnvironment): Promise<Answer<EnvironmentView>> {
    return this.writes.run(caller, async (tx) => {
      const view = await insertEnvironment(tx, fields);
      return created(view, `/v1/environments/${view.id}`, ONLY_VERSION);
    });
  }

  async list(page: PageRequest): Promise<Answer<Page<EnvironmentView>>> {
    const after = decodeCursor(page.cursor, 2, CURSOR);
    const query = this.source.manager
      .createQueryBuilder(EnvironmentRow, 'e')
      .orderBy('e.position')
      .addOrderBy('e.id')
      .limit(page.limit + 1);
    if (after) query.where('(e.position, e.id) > (:position::integer, :id)', { position: after[0], id: after[1] });
    return ok(toPage(await query.getMany(), page.limit, (row) => [String(row.position), row.id], viewOf));
  }

  async get(id: string): Promise<Answer<EnvironmentView>> {
    return ok(viewOf(await one(this.source.manager, id)), ONLY_VERSION);
  }

  delete(caller: Caller, id: string): Promise<Answer<undefined>> {
    return this.writes.run(caller, async (tx) => {
      await deleteEnvironment(tx, id);
      return noContent();
    });
  }
}

export async function insertEnvironment(tx: WriteTx, { id, position }: NewEnvironment): Promise<EnvironmentView> {
  const { manager } = tx;
  await onViolation(manager.insert(EnvironmentRow, { id, position }), {
    environment_pkey: () =>
      fail('conflict', `an environment "${id}" exists already`, {
        fields: [{ field: 'id', problem: `"${id}" is taken` }],
      }),
  });
  await manager.query('INSERT INTO chain (environment_id) VALUES ($1) ON CONFLICT DO NOTHING', [id]);
  await markEnvironment(manager, id);
  const view = viewOf(await one(manager, id));
  tx.audit({ action: 'environment.create', target: `environment/${id}`, after: view });
  return view;
}

export async function deleteEnvironment(tx: WriteTx, id: string): Promise<void> {
  const { manager } = tx;
  // who is about to make a region, a placement or a key in it waits, and then finds it gone
  const row = await one(manager, id, true);
  matchIfGiven(tx.caller, ONLY_VERSION);
  await refuseUsed(manager, id);
  await manager.delete(EnvironmentRow, { id });
  // the chain stays, for replicas never go back; markers are of no use without rows that they point at
  await manager.query('DELETE FROM outbox WHERE environment_id = $1', [id]);
  tx.audit({ action: 'environment.delete', target: `environment/${id}`, before: viewOf(row) });
}

async function refuseUsed(manager: EntityManager, id: string): Promise<void> {
  type Uses = Record<'region' | 'api' | 'issuer' | 'key' | 'client', string | null>;
  const [uses]: Uses[] = await manager.query(
    `SELECT (SELECT min(id) FROM region WHERE environment_id = $1) AS region,
            (SELECT min(api_id) FROM placement WHERE environment_id = $1) AS api,
            (SELECT min(issuer) FROM token_issuer WHERE environment_id = $1) AS issuer,
            (SELECT min(id::text) FROM api_key WHERE environment_id = $1) AS key,
            (SELECT min(id) FROM oauth_client WHERE environment_id = $1) AS client`,
    [id],
  );
  if (uses?.region) throw inUse(id, `the region "${uses.region}"`);
  if (uses?.api) throw inUse(id, `a placement of "${uses.api}"`);
  if (uses?.issuer) throw inUse(id, `the issuer "${uses.issuer}"`);
  if (uses?.key) throw inUse(id, `the key ${uses.key}, which goes with its application`);
  if (uses?.client) throw inUse(id, `the client ${uses.client}, which goes with its application`);
}

function inUse(id: string, what: string): HelioError {
  return fail('in_use', `the environment "${id}" has ${what}; delete that first`);
}

async function one(manager: EntityManager, id: string, lock = false): Promise<EnvironmentRow> {
  const row = await manager.findOne(EnvironmentRow, {
    where: { id },
    ...(lock ? { lock: { mode: 'pessimistic_write' } } : {}),
  });
  if (!row) throw fail('not_found', `there is no environment "${id}"`);
  return row;
}

function viewOf(row: EnvironmentRow): EnvironmentView {
  return { id: row.id, position: row.position, createdAt: row.createdAt.toISOString() };
}
