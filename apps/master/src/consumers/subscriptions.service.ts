import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, HelioError } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { SubscriptionRow } from '../database/entities.js';
import { AGE_AND_ID, decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { matchIfGiven, requireMatch } from '../http/preconditions.js';
import { type Answer, type Caller, created, noContent, ok } from '../http/request.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import { lockApplication } from './applications.service.js';
import {
  deleteSubscriptions,
  insertSubscriptions,
  moveSubscriptions,
  type SubscriptionFields,
  subscriptionViewOf,
} from './subscription-rows.js';
import type { SubscriptionView } from './subscriptions.endpoints.js';

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
        ({ row }) => subscriptionViewOf(row),
      ),
    );
  }

  async get(id: string): Promise<Answer<SubscriptionView>> {
    const row = await one(this.source.manager, id);
    return ok(subscriptionViewOf(row), String(row.version));
  }

  update(caller: Caller, id: string, plan: string): Promise<Answer<SubscriptionView>> {
    return this.change(caller, id, async (tx, row) => {
      requireMatch(caller, String(row.version));
      const saved = written(await moveSubscriptions(tx, [{ row, plan }]));
      return ok(subscriptionViewOf(saved), String(saved.version));
    });
  }

  delete(caller: Caller, id: string): Promise<Answer<undefined>> {
    return this.change(caller, id, async (tx, row) => {
      matchIfGiven(caller, String(row.version));
      await deleteSubscriptions(tx, [row]);
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
      return work(tx, await one(tx.manager, id));
    });
  }
}

/** For callers that hold the application's lock. */
export async function insertSubscription(
  tx: WriteTx,
  id: string,
  fields: SubscriptionFields,
): Promise<SubscriptionView> {
  return subscriptionViewOf(written(await insertSubscriptions(tx, [{ id, ...fields }])));
}

/** What was written of one. @throws HelioError why it was not */
function written([outcome]: readonly (SubscriptionRow | HelioError)[]): SubscriptionRow {
  if (outcome instanceof HelioError) throw outcome;
  if (!outcome) throw new Error('a write of one subscription told of none');
  return outcome;
}

async function one(manager: EntityManager, id: string): Promise<SubscriptionRow> {
  const row = await manager.findOneBy(SubscriptionRow, { id });
  if (!row) throw fail('not_found', `there is no subscription "${id}"`);
  return row;
}
