import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { apiIdOf, fail, type HelioError } from '#model';
import { DataSource, type EntityManager, MoreThan } from 'typeorm';
import { ApiRow } from '../database/entities.js';
import { prepared } from '../database/prepared.js';
import { decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { matchIfGiven } from '../http/preconditions.js';
import { type Answer, type Caller, created, noContent, ok } from '../http/request.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import type { ApiView } from './apis.endpoints.js';

/** An API never changes, its releases do: its ETag is that of its only state. */
const ONLY_VERSION = '1';
/** Any number that no other lock has: contexts are given out one after the other. */
const CONTEXT_LOCK = 4_711_010;

export interface NewApi {
  name: string;
  version: string;
  context?: string;
}

@Injectable()
export class ApisService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
  ) {}

  create(caller: Caller, fields: NewApi): Promise<Answer<ApiView>> {
    return this.writes.run(caller, async (tx) => {
      await lockContexts(tx.manager);
      const view = await insertApi(tx, fields);
      return created(view, `/v1/apis/${view.id}`, ONLY_VERSION);
    });
  }

  async list({ limit, cursor, ...filter }: PageRequest & Partial<NewApi>): Promise<Answer<Page<ApiView>>> {
    const after = decodeCursor(cursor, 1)?.[0];
    const rows = await this.source.manager.find(ApiRow, {
      where: { ...filter, ...(after === undefined ? {} : { id: MoreThan(after) }) },
      order: { id: 'ASC' },
      take: limit + 1,
    });
    return ok(toPage(rows, limit, (row) => [row.id], viewOf));
  }

  async get(id: string): Promise<Answer<ApiView>> {
    return ok(viewOf(await findApi(this.source.manager, id)), ONLY_VERSION);
  }

  delete(caller: Caller, id: string): Promise<Answer<undefined>> {
    return this.writes.run(caller, async (tx) => {
      await deleteApi(tx, id);
      return noContent();
    });
  }
}

/** Contexts are given out one after the other. */
export async function lockContexts(manager: EntityManager): Promise<void> {
  await manager.query('SELECT pg_advisory_xact_lock($1)', [CONTEXT_LOCK]);
}

/** The caller has locked the contexts. Of raw statements: thousands may come together. */
export async function insertApi(
  tx: WriteTx,
  { name, version, context = `/${name}/${version}` }: NewApi,
): Promise<ApiView> {
  const id = apiIdOf({ name, version });
  const { actor: createdBy } = tx.caller;
  await refuseTaken(tx.manager, { id, name, version, context });
  const [made]: { createdAt: Date }[] = await prepared(tx.manager, INSERT, [id, name, version, context, createdBy]);
  if (!made) throw new Error('an insert answered nothing');
  const view = { id, name, version, context, createdAt: made.createdAt.toISOString(), createdBy };
  tx.audit({ action: 'api.create', target: `api/${id}`, after: view });
  return view;
}

export async function deleteApi(tx: WriteTx, id: string): Promise<void> {
  const { manager } = tx;
  const row = await findApi(manager, id, true);
  matchIfGiven(tx.caller, ONLY_VERSION);
  await refuseUsed(manager, id);
  const releases: { n: string }[] = await manager.query('SELECT count(*) AS n FROM release WHERE api_id = $1', [id]);
  await manager.delete(ApiRow, { id }); // releases go with it
  tx.audit({ action: 'api.delete', target: `api/${id}`, before: { ...viewOf(row), releases: Number(releases[0]?.n) } });
}

const INSERT = {
  name: 'api_insert',
  text: `
    INSERT INTO api (id, name, version, context, created_by) VALUES ($1, $2, $3, $4, $5) RETURNING created_at AS "createdAt"`,
};

/** `/a` holds `/a/b`: a gateway could not tell whose request `/a/b/c` is. */
async function refuseTaken(manager: EntityManager, api: Required<NewApi> & { id: string }): Promise<void> {
  const { id, name, version, context } = api;
  const segments = context.split('/').slice(1);
  const outer = segments.map((_, index) => `/${segments.slice(0, index + 1).join('/')}`);
  const [other] = await prepared<{ id: string; context: string }>(manager, TAKEN, [id, outer, `${context}/`]);
  if (!other) return;
  if (other.id !== id) throw contextTaken(context, other);
  throw fail('conflict', `an API "${id}" exists already`, {
    fields: [{ field: 'version', problem: `"${version}" of "${name}" is taken` }],
  });
}

const TAKEN = {
  name: 'api_taken',
  text: `
    SELECT id, context FROM api WHERE id = $1 OR context = ANY($2::text[]) OR starts_with(context, $3)
    ORDER BY id <> $1, context LIMIT 1`,
};

function contextTaken(context: string, other: { id: string; context: string }): HelioError {
  const inside = context.startsWith(other.context);
  const problem =
    other.context === context
      ? `is that of "${other.id}"`
      : `${inside ? 'lies inside' : 'holds'} "${other.context}", the context of "${other.id}"`;
  return fail('context_taken', `the context "${context}" ${problem}`, {
    fields: [{ field: 'context', problem, expected: 'a path that lies in no other context, and has none inside' }],
  });
}

async function refuseUsed(manager: EntityManager, id: string): Promise<void> {
  const [uses]: { placement: string | null; subscriptions: string; promotion: string | null }[] = await manager.query(
    `SELECT (SELECT promotion_id FROM promotion_lock WHERE api_id = $1 LIMIT 1) AS promotion,
            (SELECT min(environment_id || '/' || region) FROM placement WHERE api_id = $1) AS placement,
            (SELECT count(*) FROM subscription WHERE api_id = $1) AS subscriptions`,
    [id],
  );
  if (uses?.promotion)
    throw fail('in_use', `the API "${id}" is being promoted, by ${uses.promotion}; abort that first`);
  if (uses?.placement)
    throw fail('in_use', `the API "${id}" is placed in ${uses.placement}; delete its placements first`);
  if (uses && uses.subscriptions !== '0') {
    throw fail('in_use', `the API "${id}" has ${uses.subscriptions} subscriptions; delete them first`);
  }
}

/** @param lock whether it is to be deleted: who is about to place it, or to subscribe, waits, and then finds it gone */
export async function findApi(manager: EntityManager, id: string, lock = false): Promise<ApiRow> {
  const row = await manager.findOne(ApiRow, {
    where: { id },
    ...(lock ? { lock: { mode: 'pessimistic_write' } } : {}),
  });
  if (!row) throw fail('not_found', `there is no API "${id}"`);
  return row;
}

function viewOf(row: ApiRow): ApiView {
  return {
    id: row.id,
    name: row.name,
    version: row.version,
    context: row.context,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
  };
}
