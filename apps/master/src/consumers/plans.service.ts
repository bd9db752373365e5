import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, type LimitPair } from '#model';
import { DataSource, type EntityManager, MoreThan } from 'typeorm';
import { PlanRow } from '../database/entities.js';
import { decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { matchIfGiven, requireMatch } from '../http/preconditions.js';
import { type Answer, type Caller, created, noContent, ok } from '../http/request.js';
import { planMark } from '../publishing/index.js';
import { Writes } from '../writes/writes.js';
import type { PlanView } from './plans.endpoints.js';

interface Limits extends LimitPair {
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
      const { manager } = tx;
      const taken = await manager.existsBy(PlanRow, { id: plan.id });
      if (taken)
        throw fail('conflict', `a plan "${plan.id}" exists already`, {
          fields: [{ field: 'id', problem: `"${plan.id}" is taken` }],
        });
      await manager.insert(PlanRow, plan);
      const view = viewOf(await one(manager, plan.id));
      tx.mark('all', planMark(plan.id));
      tx.audit({ action: 'plan.create', target: `plan/${plan.id}`, after: view });
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
      const row = await one(tx.manager, id, true);
      requireMatch(caller, String(row.version));
      const before = viewOf(row);
      if (change.rate !== undefined) row.rate = change.rate;
      if (change.quota !== undefined) row.quota = change.quota;
      if (change.perRoute !== undefined) row.perRoute = change.perRoute;
      if (change.perApi !== undefined) row.perApi = change.perApi;
      const saved = await tx.manager.save(row);
      const view = viewOf(saved);
      tx.mark('all', planMark(id));
      tx.audit({ action: 'plan.update', target: `plan/${id}`, before, after: view });
      return ok(view, String(saved.version));
    });
  }

  delete(caller: Caller, id: string): Promise<Answer<undefined>> {
    return this.writes.run(caller, async (tx) => {
      const row = await one(tx.manager, id, true);
      matchIfGiven(caller, String(row.version));
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
      return noContent();
    });
  }
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
