import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, type HelioError, type LimitPair } from '#model';
import { DataSource, type EntityManager, MoreThan } from 'typeorm';
import { PlanRow } from '../database/entities.js';
import { decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { matchIfGiven, requireMatch } from '../http/preconditions.js';
import { type Answer, type Caller, created, noContent, ok } from '../http/request.js';
import { planMark } from '../publishing/index.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import type { PlanView } from './plans.endpoints.js';

export interface Limits extends LimitPair {
  perRoute?: LimitPair | null | undefined;
  perApi?: LimitPair | null | undefined;
}

@Injectable()
export class PlansService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
  ) {}

  create(caller: Caller, plan: Limits & { id: string }): Promise<Answer<PlanView>> {
    return this.writes.run(caller, async (tx) => {
      const [view] = await insertPlans(tx, [plan]);
      if (!view) throw planExists(plan.id);
      return created(view, `/v1/plans/${plan.id}`, '1');
    });
  }

  async list(page: PageRequest): Promise<Answer<Page<PlanView>>> {
    const after = decodeCursor(page.cursor, 1);
    const rows = await this.source.manager.find(PlanRow, {
      where: after ? { id: MoreThan(after[0] ?? '') } : {},
      order: { id: 'ASC' },
      take: page.limit + 1,
    });
    return ok(toPage(rows, page.limit, (row) => [row.id], viewOf));
  }

  async get(id: string): Promise<Answer<PlanView>> {
    const row = await one(this.source.manager, id);
    return ok(viewOf(row), String(row.version));
  }

  update(caller: Caller, id: string, change: Partial<Limits>): Promise<Answer<PlanView>> {
    return this.writes.run(caller, async (tx) => {
      const row = await lockPlan(tx.manager, id);
      requireMatch(caller, String(row.version));
      const saved = await updatePlan(tx, row, change);
      return ok(viewOf(saved), String(saved.version));
    });
  }

  delete(caller: Caller, id: string): Promise<Answer<undefined>> {
    return this.writes.run(caller, async (tx) => {
      await deletePlan(tx, id);
      return noContent();
    });
  }
}

/** Thousands may come together. @returns those that were made: others are there already */
export async function insertPlans(tx: WriteTx, plans: readonly (Limits & { id: string })[]): Promise<PlanView[]> {
  const rows: PlanRow[] = await tx.manager.query(
    `INSERT INTO plan AS p (id, rate, quota, per_route, per_api)
     SELECT n.id, n.rate, n.quota, n."perRoute", n."perApi"
     FROM jsonb_to_recordset($1::jsonb) AS n(id text, rate jsonb, quota jsonb, "perRoute" jsonb, "perApi" jsonb)
     ON CONFLICT (id) DO NOTHING
     RETURNING p.id, p.rate, p.quota, p.per_route AS "perRoute", p.per_api AS "perApi", p.created_at AS "createdAt", p.updated_at AS "updatedAt"`,
    [JSON.stringify(plans)],
  );
  const views = rows.map(viewOf);
  for (const view of views) {
    tx.mark('all', planMark(view.id));
    tx.audit({ action: 'plan.create', target: `plan/${view.id}`, after: view });
  }
  return views;
}

export function planExists(id: string): HelioError {
  return fail('conflict', `a plan "${id}" exists already`, { fields: [{ field: 'id', problem: `"${id}" is taken` }] });
}

/** @param row locked */
export async function updatePlan(tx: WriteTx, row: PlanRow, change: Partial<Limits>): Promise<PlanRow> {
  const before = viewOf(row);
  if (change.rate !== undefined) row.rate = change.rate;
  if (change.quota !== undefined) row.quota = change.quota;
  if (change.perRoute !== undefined) row.perRoute = change.perRoute;
  if (change.perApi !== undefined) row.perApi = change.perApi;
  const saved = await tx.manager.save(row);
  tx.mark('all', planMark(row.id));
  tx.audit({ action: 'plan.update', target: `plan/${row.id}`, before, after: viewOf(saved) });
  return saved;
}

export async function deletePlan(tx: WriteTx, id: string): Promise<void> {
  const row = await lockPlan(tx.manager, id);
  matchIfGiven(tx.caller, String(row.version));
  const [uses]: { n: string; example: string }[] = await tx.manager.query(
    'SELECT count(*) AS n, min(id::text) AS example FROM subscription WHERE plan_id = $1',
    [id],
  );
  if (Number(uses?.n) > 0)
    throw fail(
      'in_use',
      `the plan "${id}" is used by ${uses?.n} subscription(s), ${uses?.example} among them; move or delete them first`,
    );
  const [release]: { api: string; digest: Buffer }[] = await tx.manager.query(
    'SELECT api_id AS api, digest FROM release WHERE open_plan = $1 LIMIT 1',
    [id],
  );
  if (release)
    throw fail(
      'in_use',
      `the plan "${id}" limits open routes of ${release.api}, in its release ${release.digest.toString('hex')}, which may be placed as long as the API exists`,
    );
  await tx.manager.delete(PlanRow, { id });
  tx.mark('all', planMark(id));
  tx.audit({ action: 'plan.delete', target: `plan/${id}`, before: viewOf(row) });
}

export function lockPlan(manager: EntityManager, id: string): Promise<PlanRow> {
  return one(manager, id, true);
}

async function one(manager: EntityManager, id: string, lock = false): Promise<PlanRow> {
  const row = await manager.findOne(PlanRow, {
    where: { id },
    ...(lock ? { lock: { mode: 'pessimistic_write' } } : {}),
  });
  if (!row) throw fail('not_found', `there is no plan "${id}"`);
  return row;
}

function viewOf(row: PlanRow): PlanView {
  return {
    id: row.id,
    rate: row.rate,
    quota: row.quota,
    perRoute: row.perRoute,
    perApi: row.perApi,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}
