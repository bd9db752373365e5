import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { type Definition, fail, type HelioError } from '#model';
import type { FieldFault } from '#platform';
import { DataSource, type EntityManager } from 'typeorm';
import { ReleaseRow } from '../database/entities.js';
import { prepared } from '../database/prepared.js';
import { jsonbText } from '../database/jsonb.js';
import { decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { type Answer, type Caller, created, ok } from '../http/request.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import { findApi } from './apis.service.js';
import { makeRelease, type NewRelease } from './make-release.js';
import { diffDefinitions } from './release-diff.js';
import type { ReleaseInput } from './release-input.js';
import type { ReleaseDiff, ReleaseMade, ReleaseSummary, ReleaseView } from './releases.endpoints.js';

const CURSOR = [/^[0-9a-f]{64}$/];

@Injectable()
export class ReleasesService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
  ) {}

  async create(caller: Caller, api: string, input: ReleaseInput): Promise<Answer<ReleaseMade>> {
    const { context, ...found } = await findApi(this.source.manager, api);
    // before the transaction, which it would hold up
    const made = makeRelease(input, { ...found, context });
    const hex = made.digest.toString('hex');
    return this.writes.run(caller, async (tx) => {
      await keepApi(tx.manager, api, context);
      const inserted = await insertRelease(tx, api, made, input.at);
      const row = await one(tx.manager, api, hex);
      const view = { ...summaryOf(row), report: row.report as ReleaseMade['report'] };
      return inserted ? created(view, `/v1/apis/${api}/releases/${hex}`, hex) : ok(view, hex);
    });
  }

  /** The cursor is a digest: releases do not go away while their API is there, and a time would lose its microseconds. */
  async list(api: string, page: PageRequest): Promise<Answer<Page<ReleaseSummary>>> {
    await findApi(this.source.manager, api);
    const after = decodeCursor(page.cursor, 1, CURSOR)?.[0];
    const query = this.source.manager
      .createQueryBuilder(ReleaseRow, 'r')
      .where('r.api = :api', { api })
      .orderBy('r.createdAt', 'DESC')
      .addOrderBy('r.digest', 'DESC')
      .limit(page.limit + 1);
    if (after !== undefined) {
      query.andWhere('(r.createdAt, r.digest) < (SELECT created_at, digest FROM release WHERE digest = :after)', {
        after: Buffer.from(after, 'hex'),
      });
    }
    return ok(toPage(await query.getMany(), page.limit, (row) => [row.digest.toString('hex')], summaryOf));
  }

  async get(api: string, digest: string): Promise<Answer<ReleaseView>> {
    const row = await one(this.source.manager, api, digest, true);
    const view = { ...summaryOf(row), report: row.report as ReleaseView['report'], definition: definitionOf(row) };
    return ok(view, digest);
  }

  async diff(api: string, from: string, to: string): Promise<Answer<ReleaseDiff>> {
    const before = await one(this.source.manager, api, from, true);
    const after = await one(this.source.manager, api, to, true);
    return ok({ from, to, ...diffDefinitions(definitionOf(before), definitionOf(after)) });
  }
}

/**
 * Makes a release that is not there yet. The caller keeps the API.
 *
 * @param at where the fields of the definition stand in the request
 * @returns whether it was made
 */
export async function insertRelease(
  tx: WriteTx,
  api: string,
  { definition, bytes, digest, report }: NewRelease,
  at: string,
): Promise<boolean> {
  const { manager } = tx;
  if (definition.openPlan !== undefined) await keepOpenPlan(manager, definition.openPlan, at);
  const inserted = await prepared(manager, INSERT, [
    digest,
    api,
    bytes,
    definition.plans,
    definition.routes.length,
    report && jsonbText(report),
    tx.caller.actor,
    definition.openPlan ?? null,
  ]);
  if (inserted.length === 0) return false;
  await refuseUnknownPlans(manager, definition.plans, at);
  const after = { api, routes: definition.routes.length, plans: definition.plans, imported: report !== null };
  tx.audit({ action: 'release.create', target: `release/${digest.toString('hex')}`, after });
  return true;
}

const INSERT = {
  name: 'release_insert',
  text: `
    INSERT INTO release (digest, api_id, definition, plans, routes, report, created_by, open_plan)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (digest) DO NOTHING RETURNING digest`,
};

/** It may have been deleted since, and made again with another context. From here on it stays. */
async function keepApi(manager: EntityManager, api: string, context: string): Promise<void> {
  const rows: unknown[] = await manager.query('SELECT FROM api WHERE id = $1 AND context = $2 FOR KEY SHARE', [
    api,
    context,
  ]);
  if (rows.length === 0) throw fail('not_found', `the API "${api}" has just been deleted`);
}

/** From here on it stays, as long as the release does. */
async function keepOpenPlan(manager: EntityManager, plan: string, at: string): Promise<void> {
  const rows: unknown[] = await manager.query('SELECT FROM plan WHERE id = $1 FOR KEY SHARE', [plan]);
  if (rows.length === 0) throw unknownPlans([unknownPlan(`${at}openPlan`, plan)]);
}

async function refuseUnknownPlans(manager: EntityManager, plans: readonly string[], at: string): Promise<void> {
  const rows = await prepared<{ id: string }>(manager, PLANS, [plans]);
  const known = new Set(rows.map((row) => row.id));
  const fields = plans.flatMap((plan, index) => (known.has(plan) ? [] : [unknownPlan(`${at}plans[${index}]`, plan)]));
  if (fields.length > 0) throw unknownPlans(fields);
}

const PLANS = { name: 'release_plans', text: 'SELECT id FROM plan WHERE id = ANY($1::text[])' };

function unknownPlan(field: string, plan: string): FieldFault {
  return { field, problem: `there is no plan "${plan}"`, expected: 'the id of a plan' };
}

function unknownPlans(fields: FieldFault[]): HelioError {
  return fail('unknown_reference', `${fields[0]?.field}: ${fields[0]?.problem}`, { fields });
}

async function one(manager: EntityManager, api: string, digest: string, definition = false): Promise<ReleaseRow> {
  const query = manager
    .createQueryBuilder(ReleaseRow, 'r')
    .where('r.digest = :digest AND r.api = :api', { digest: Buffer.from(digest, 'hex'), api });
  const row = await (definition ? query.addSelect('r.definition') : query).getOne();
  if (!row) throw fail('not_found', `"${api}" has no release ${digest}`);
  return row;
}

function definitionOf(row: ReleaseRow): Definition {
  return JSON.parse(row.definition.toString('utf8')) as Definition;
}

function summaryOf(row: ReleaseRow): ReleaseSummary {
  return {
    digest: row.digest.toString('hex'),
    api: row.api,
    routes: row.routes,
    plans: row.plans,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
  };
}
