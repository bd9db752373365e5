import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { type Definition, fail } from '#model';
import { DataSource, type EntityManager, QueryFailedError } from 'typeorm';
import { diffDefinitions } from '../catalog/release-diff.js';
import type { MasterConfig } from '../config/config.js';
import { CONFIG } from '../config/tokens.js';
import { WRITERS } from '../http/endpoint.js';
import { type Answer, type Caller, ok } from '../http/request.js';
import type { WriteTx } from '../writes/write-tx.js';
import { WebhooksService } from '../webhooks/webhooks.service.js';
import { Writes } from '../writes/writes.js';
import type { ApplyAnswer } from './apply.endpoints.js';
import { execute } from './execute.js';
import { Faults } from './faults.js';
import { NAMED, own } from './ownership.js';
import { fieldChangeOf, planHash, planOf } from './plan.js';
import type { FieldChange, Plan } from './planned.js';
import { readDocuments, type Wanted } from './read-documents.js';
import { readStanding } from './read-found.js';

interface ApplyRequest {
  set: string;
  documents: unknown[];
  prune: boolean;
  dryRun: boolean;
  take: boolean;
  reason?: string;
  expect?: string;
}

/** Any number that no other lock has: applies come one after the other. */
const APPLY_LOCK = 4_711_012;
/** in_failed_sql_transaction */
const ABORTED = '25P02';
const DEFINITIONS_AT_ONCE = 100;

@Injectable()
export class ApplyService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(CONFIG) private readonly config: MasterConfig,
    private readonly writes: Writes,
    private readonly webhooks: WebhooksService,
  ) {}

  async apply(caller: Caller, request: ApplyRequest): Promise<Answer<ApplyAnswer>> {
    const { documents, dryRun, expect, prune, set } = request;
    if (!dryRun && ![...WRITERS, 'admin'].includes(caller.role))
      throw fail('forbidden', `the token "${caller.actor}" has the role ${caller.role}, which may only ask: dryRun`);
    if (prune && documents.length === 0 && !dryRun && expect === undefined)
      throw fail('prune_unconfirmed', `there is no document, and prune deletes all that the set "${set}" owns`, {
        fields: [
          { field: '/documents', problem: 'is empty', expected: 'documents, or `expect` with the plan of a dry run' },
        ],
      });
    const faults = new Faults();
    const wanted = await readDocuments(documents, (apis) => this.contextsOf(apis), faults);
    faults.throwIfAny();
    try {
      return await this.writes.run({ ...caller, ifMatch: null }, (tx) => this.run(tx, request, wanted));
    } catch (error) {
      if (error instanceof DryRun) return ok(error.answer);
      throw error;
    }
  }

  private async run(tx: WriteTx, request: ApplyRequest, wanted: readonly Wanted[]): Promise<Answer<ApplyAnswer>> {
    const { manager, caller } = tx;
    const { set, prune, take, dryRun, reason = null } = request;
    await manager.query('SELECT pg_advisory_xact_lock($1)', [APPLY_LOCK]);
    const faults = new Faults();
    const refusals = dryRun ? new Faults() : faults;
    const standing = await readStanding(manager, set, wanted, this.config.signer);
    const plan = planOf(wanted, standing, { set, role: caller.role, prune, take, reason }, faults, refusals);
    faults.throwIfAny();
    await showDefinitions(manager, plan);
    const answer = answerOf(set, plan, dryRun ? refusals.all : null);
    if (request.expect !== undefined && request.expect !== answer.plan)
      throw fail('plan_changed', `the plan is ${answer.plan} now, and not ${request.expect}; nothing was written`);
    await this.write(tx, plan, reason ?? `applied with the set "${set}"`, faults);
    if (dryRun) throw new DryRun(answer);
    const { unchanged: _, ...written } = answer.summary;
    if (Object.values(written).some((count) => count > 0)) {
      await own(tx, set, plan.changes);
      tx.audit({ action: 'apply.run', target: `apply/${set}`, after: { plan: answer.plan, ...written } });
    }
    return ok(answer);
  }

  /** @throws HelioError with all that was found wrong */
  private async write(tx: WriteTx, plan: Plan, reason: string, faults: Faults): Promise<void> {
    try {
      await execute({ tx, webhooks: this.webhooks, faults }, plan, reason);
    } catch (error) {
      // a constraint was broken by who wrote at the same moment; what was found by then says so
      if (!(error instanceof QueryFailedError) || (error.driverError as { code?: string }).code !== ABORTED)
        throw error;
      faults.throwIfAny();
      throw error;
    }
    faults.throwIfAny();
  }

  private async contextsOf(apis: string[]): Promise<Map<string, string>> {
    const rows: { id: string; context: string }[] = await this.source.query(
      'SELECT id, context FROM api WHERE id = ANY($1::text[])',
      [apis],
    );
    return new Map(rows.map(({ id, context }) => [id, context]));
  }
}

/** Rolls back what was written to see whether it can be. */
class DryRun extends Error {
  constructor(readonly answer: ApplyAnswer) {
    super('a dry run has ended');
  }
}

/** @param refused null: it is no dry run */
function answerOf(set: string, plan: Plan, refused: ApplyAnswer['refused'] | null): ApplyAnswer {
  const summary = { create: 0, update: 0, delete: 0, unchanged: 0 };
  for (const { action } of plan.changes) summary[action] += 1;
  const changes = plan.changes.map(({ action, kind, id, fields, wanted, found }) => ({
    action,
    kind,
    id,
    ...(NAMED.has(kind) && { uuid: wanted?.key ?? found?.key }),
    fields,
  }));
  return { plan: planHash(set, plan), applied: refused === null, summary, changes, refused: refused ?? [] };
}

/** Beside the digests of a release and the one before it, what differs between the two. */
async function showDefinitions(manager: EntityManager, { changes }: Plan): Promise<void> {
  const replaced = changes.flatMap(({ wanted, found, fields }) => {
    const before = found?.fields.release;
    return wanted?.release && typeof before === 'string' && fields.some(({ path }) => path === '/release')
      ? [{ before, after: wanted.release.definition, fields }]
      : [];
  });
  for (let at = 0; at < replaced.length; at += DEFINITIONS_AT_ONCE) {
    const some = replaced.slice(at, at + DEFINITIONS_AT_ONCE);
    const rows: { digest: string; definition: Buffer }[] = await manager.query(
      `SELECT encode(digest, 'hex') AS digest, definition FROM release WHERE digest = ANY($1::bytea[])`,
      [some.map(({ before }) => Buffer.from(before, 'hex'))],
    );
    const definitions = new Map(rows.map(({ digest, definition }) => [digest, definition]));
    for (const { before, after, fields } of some) {
      const bytes = definitions.get(before);
      if (bytes) fields.push(...definitionChanges(JSON.parse(bytes.toString('utf8')) as Definition, after));
    }
  }
}

function definitionChanges(from: Definition, to: Definition): FieldChange[] {
  const { routes, fields } = diffDefinitions(from, to);
  const pathOf = ({ method, path }: { method: string; path: string }): string =>
    `/definition/routes/${`${method} ${path}`.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const within = (place: string, change: FieldChange): FieldChange => ({ ...change, path: place + change.path });
  return [
    ...fields.map((change) => within('/definition', fieldChangeOf(change))),
    ...routes.removed.map((route) => ({ path: pathOf(route), before: route })),
    ...routes.added.map((route) => ({ path: pathOf(route), after: route })),
    ...routes.changed.flatMap((route) => route.changes.map((change) => within(pathOf(route), fieldChangeOf(change)))),
  ];
}
