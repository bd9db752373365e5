import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { SubscriptionRow } from '../database/entities.js';
import { AGE_AND_ID, decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { matchIfGiven, requireMatch } from '../http/preconditions.js';
import { type Answer, type Caller, created, noContent, ok } from '../http/request.js';
import { applicationMark } from '../publishing/index.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import { environmentsOf, lockApplication } from './applications.service.js';
import type { SubscriptionView } from './subscriptions.endpoints.js';

export interface SubscriptionFields {
  application: string;
  api: string;
  plan: string;
}

@Injectable()
export class SubscriptionsService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
  ) {}

  create(caller: Caller, fields: SubscriptionFields): Promise<Answer<SubscriptionView>> {
    return this.writes.run(caller, async (tx) => {
      await lockApplication(tx.manager, fields.application, 'application');
      const view = await insertSubscription(tx, randomUUID(), fields);
      return created(view, `/v1/subscriptions/${view.id}`, '1');
    });
  }

  async list(filter: Partial<SubscriptionFields>, page: PageRequest): Promise<Answer<Page<SubscriptionView>>> {
    const after = decodeCursor(page.cursor, 2, AGE_AND_ID);
    const query = this.source.manager
      .createQueryBuilder(SubscriptionRow, 's')
      .orderBy('s.created_at')
      .addOrderBy('s.id')
      .limit(page.limit + 1);
    for (const [column, value] of Object.entries(filter)) {
      if (value !== undefined) query.andWhere(`s.${column}_id = :${column}`, { [column]: value });
    }
    if (after) query.andWhere('(s.created_at, s.id) > (:at::timestamptz, :id::uuid)', { at: after[0], id: after[1] });
    const rows = await query.addSelect('s.created_at::text', 'at').getRawAndEntities<{ at: string }>();
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

  async get(id: string): Promise<Answer<SubscriptionView>> {
    const row = await one(this.source.manager, id);
    return ok(viewOf(row), String(row.version));
  }

  update(caller: Caller, id: string, plan: string): Promise<Answer<SubscriptionView>> {
    return this.change(caller, id, async (tx, row) => {
      requireMatch(caller, String(row.version));
      const before = viewOf(row);
      await requireOffered(tx.manager, row.api, plan);
      row.plan = plan;
      const saved = await tx.manager.save(row);
      const view = viewOf(saved);
      tx.audit({ action: 'subscription.update', target: `subscription/${id}`, before, after: view });
      return ok(view, String(saved.version));
    });
  }

  delete(caller: Caller, id: string): Promise<Answer<undefined>> {
    return this.change(caller, id, async (tx, row) => {
      matchIfGiven(caller, String(row.version));
      await tx.manager.delete(SubscriptionRow, { id });
      tx.audit({ action: 'subscription.delete', target: `subscription/${id}`, before: viewOf(row) });
      return noContent();
    });
  }

  /** Locks the application first, then reads the subscription again: it may have changed while we waited. */
  private change<T>(
    caller: Caller,
    id: string,
    work: (tx: WriteTx, row: SubscriptionRow) => Promise<Answer<T>>,
  ): Promise<Answer<T>> {
    return this.writes.run(caller, async (tx) => {
      const { application } = await one(tx.manager, id);
      await lockApplication(tx.manager, application);
      const answer = await work(tx, await one(tx.manager, id));
      tx.mark(await environmentsOf(tx.manager, application), applicationMark(application));
      return answer;
    });
  }
}

/** For callers that hold the application's lock. */
export async function insertSubscription(
  tx: WriteTx,
  id: string,
  fields: SubscriptionFields,
): Promise<SubscriptionView> {
  const { manager } = tx;
  await requireOffered(manager, fields.api, fields.plan);
  const existing = await manager.findOneBy(SubscriptionRow, { application: fields.application, api: fields.api });
  if (existing)
    throw fail(
      'conflict',
      `the application is subscribed to ${fields.api} already, on the plan "${existing.plan}": subscription ${existing.id}`,
    );
  await manager.insert(SubscriptionRow, { id, ...fields });
  const view = viewOf(await one(manager, id));
  tx.mark(await environmentsOf(manager, fields.application), applicationMark(fields.application));
  tx.audit({ action: 'subscription.create', target: `subscription/${id}`, after: view });
  return view;
}

/** The plan exists (and stays while we write), and the API has a release that offers it. */
async function requireOffered(manager: EntityManager, api: string, plan: string): Promise<void> {
  const [found]: { api: boolean; offered: boolean; plans: string[] | null }[] = await manager.query(
    `SELECT EXISTS (SELECT FROM api WHERE id = $1) AS api,
            EXISTS (SELECT FROM release WHERE api_id = $1 AND $2 = ANY (plans)) AS offered,
            (SELECT array_agg(DISTINCT p ORDER BY p) FROM release, unnest(plans) p WHERE api_id = $1) AS plans`,
    [api, plan],
  );
  if (!found?.api)
    throw fail('unknown_reference', `there is no API "${api}"`, {
      fields: [{ field: 'api', problem: `there is no API "${api}"` }],
    });
  const locked: unknown[] = await manager.query('SELECT 1 FROM plan WHERE id = $1 FOR KEY SHARE', [plan]);
  if (locked.length === 0)
    throw fail('unknown_reference', `there is no plan "${plan}"`, {
      fields: [{ field: 'plan', problem: `there is no plan "${plan}"` }],
    });
  if (!found.offered) {
    const offers = found.plans?.length
      ? `its releases offer ${found.plans.join(', ')}`
      : `make a release whose plans name "${plan}" first`;
    throw fail('unknown_reference', `the API ${api} does not offer the plan "${plan}"; ${offers}`, {
      fields: [{ field: 'plan', problem: `is not offered by ${api}`, expected: offers }],
    });
  }
}

async function one(manager: EntityManager, id: string): Promise<SubscriptionRow> {
  const row = await manager.findOneBy(SubscriptionRow, { id });
  if (!row) throw fail('not_found', `there is no subscription "${id}"`);
  return row;
}

function viewOf(row: SubscriptionRow): SubscriptionView {
  return {
    id: row.id,
    application: row.application,
    api: row.api,
    plan: row.plan,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}
