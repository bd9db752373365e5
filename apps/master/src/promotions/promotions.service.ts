import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { fail } from '#model';
import type { Logger } from '#platform';
import { LOG } from '../config/tokens.js';
import { matchIfGiven } from '../http/preconditions.js';
import { type Answer, type Caller, created, ok } from '../http/request.js';
import { Jobs } from '../jobs/jobs.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import { lockEnvironment, refuseFaults, releasesOf, wavesOf, whereverPlaced } from './new-promotion.js';
import { openLocks, placeWave } from './promotion-changes.js';
import { goesOnByItself, type PromotionInput } from './promotion-machine.js';
import { jobOf, movePromotion, PROMOTION_JOB, promotionEvent } from './promotion-move.js';
import { type Because, lockPromotion, type PromotionRow, readPromotion } from './promotion-row.js';
import type { NewPromotion, NewRollback, PromotionView } from './promotions.endpoints.js';
import { addJob } from '../jobs/job-store.js';
import type { ObserveSources } from './observe.js';
import { logPromotion } from './promotion-log.js';
import { OBSERVE_SOURCES } from './promotion-reads.js';
import { viewOf } from './promotion-view.js';
import { serveBefore } from './serves-before.js';

/** What people ask of promotions. */
@Injectable()
export class PromotionsService {
  constructor(
    private readonly writes: Writes,
    @Inject(Jobs) private readonly jobs: Jobs,
    @Inject(OBSERVE_SOURCES) private readonly sources: ObserveSources,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  async create(caller: Caller, body: NewPromotion): Promise<Answer<PromotionView>> {
    if (body.skip && caller.role !== 'admin')
      throw fail(
        'forbidden',
        `the token "${caller.actor}" has the role ${caller.role}; to skip an environment needs admin`,
      );
    return this.woken(
      await this.writes.run(caller, async (tx) => {
        const { manager } = tx;
        const releases = releasesOf(body);
        const { before, approvals } = await lockEnvironment(manager, body.to, 'to');
        const waves = await wavesOf(manager, body.to, releases, body.strategy);
        const regions = waves.flatMap((wave) => wave.regions);
        await refuseFaults(manager, body.to, releases, regions, {
          release: (n, field) => (body.releases ? `releases[${n}].${field}` : field),
          region: (region) => placeInWaves(waves, region),
        });
        const fault = body.skip ? null : await serveBefore({ ...this.sources, query: queryOf(tx) }, before, releases);
        if (fault !== null) throw fail('not_promotable', fault);
        const row = await insert(tx, {
          kind: 'promotion',
          environment: body.to,
          environmentBefore: before,
          waves,
          gates: body.strategy.gates,
          approvals,
          skip: body.skip,
          reason: body.reason ?? null,
          releases,
        });
        await openLocks(manager, row);
        return createdAnswer(row);
      }),
    );
  }

  /** Begins where a promotion that failed ends up: with rolling back, to what is named. */
  async rollBackTo(caller: Caller, body: NewRollback): Promise<Answer<PromotionView>> {
    const { environment, releases, reason } = body;
    return this.woken(
      await this.writes.run(caller, async (tx) => {
        const { manager } = tx;
        await lockEnvironment(manager, environment, 'environment');
        const regions = [...new Set(body.regions ?? (await whereverPlaced(manager, environment, releases)))];
        await refuseFaults(manager, environment, releases, regions, {
          release: (n, field) => `releases[${n}].${field}`,
          region: (region) => `regions[${regions.indexOf(region)}]`,
        });
        await refuseNeverServed(tx, environment, releases);
        const row = await insert(tx, {
          kind: 'rollback',
          environment,
          environmentBefore: null,
          waves: [{ regions, soak: 0 }],
          gates: { acknowledgedWithin: 300, minRequests: 0, maxErrorShare: 1, p95Factor: 1 },
          approvals: 0,
          skip: false,
          reason,
          releases,
        });
        await openLocks(manager, row);
        const placed = await placeWave(tx, row, 1, regions);
        if ('fault' in placed) throw fail('conflict', placed.fault);
        await manager.query(
          `UPDATE promotion SET wave = 1, xid = $2::bigint, wave_since = clock_timestamp() WHERE id = $1`,
          [row.id, placed.xid],
        );
        return createdAnswer(await lockPromotion(manager, row.id));
      }),
    );
  }

  async act(caller: Caller, id: string, input: PromotionInput, reason: string | null): Promise<Answer<PromotionView>> {
    return this.woken(
      await this.writes.run(caller, async (tx) => {
        let row = await lockPromotion(tx.manager, id);
        matchIfGiven(caller, String(row.step));
        if (input === 'approve') {
          if (await approvedAlready(tx, row)) return answerOf(row);
          row = await addApproval(tx, row, reason);
        }
        return answerOf(await movePromotion(tx, row, input, becauseOf(row, caller, reason)));
      }),
    );
  }

  private woken(answer: Answer<PromotionView>): Answer<PromotionView> {
    if (!answer.body) return answer;
    logPromotion(this.log, answer.body);
    if (answer.etag !== undefined) void this.jobs.wake(jobOf({ id: answer.body.id, step: Number(answer.etag) }));
    return answer;
  }
}

type New = Pick<
  PromotionRow,
  'kind' | 'environment' | 'environmentBefore' | 'waves' | 'gates' | 'approvals' | 'skip' | 'reason' | 'releases'
>;

async function insert(tx: WriteTx, one: New): Promise<PromotionRow> {
  const id = randomUUID();
  // who needs nobody's approval goes on at once
  const state = one.kind === 'rollback' ? 'rolling-back' : one.approvals > 0 ? 'requested' : 'approved';
  await tx.manager.query(
    `INSERT INTO promotion (id, kind, environment_id, environment_before, state, wave, waves, gates, approvals, skip, reason, requested_by)
     VALUES ($1, $2, $3, $4, $5, 0, $6::jsonb, $7::jsonb, $8, $9, $10, $11)`,
    [
      id,
      one.kind,
      one.environment,
      one.environmentBefore,
      state,
      JSON.stringify(one.waves),
      JSON.stringify(one.gates),
      one.approvals,
      one.skip,
      one.reason,
      tx.caller.actor,
    ],
  );
  await tx.manager.query(
    `INSERT INTO promotion_release (promotion_id, api_id, digest)
     SELECT $1, r.api, decode(r.release, 'hex') FROM jsonb_to_recordset($2::jsonb) AS r(api text, release text)`,
    [id, JSON.stringify(one.releases)],
  );
  const { environment: to, releases, waves, skip, reason } = one;
  tx.event(promotionEvent({ ...one, id }, state, { input: 'create', wave: 0, waves, reason, because: null }));
  tx.audit({ action: `${one.kind}.create`, target: `promotion/${id}`, after: { to, releases, waves, skip, reason } });
  const row = await lockPromotion(tx.manager, id);
  if (goesOnByItself(state)) await addJob(tx.manager, { id: jobOf(row), kind: PROMOTION_JOB, subject: id });
  return row;
}

async function approvedAlready(tx: WriteTx, row: PromotionRow): Promise<boolean> {
  const { actor } = tx.caller;
  if (actor === row.requestedBy)
    throw fail('forbidden', `"${actor}" has asked for the promotion ${row.id}; somebody else has to approve it`);
  return row.approvedBy.includes(actor);
}

async function addApproval(tx: WriteTx, row: PromotionRow, comment: string | null): Promise<PromotionRow> {
  await tx.manager.query('INSERT INTO promotion_approval (promotion_id, actor, comment) VALUES ($1, $2, $3)', [
    row.id,
    tx.caller.actor,
    comment,
  ]);
  return { ...row, approvedBy: [...row.approvedBy, tx.caller.actor] };
}

async function refuseNeverServed(tx: WriteTx, environment: string, releases: PromotionRow['releases']): Promise<void> {
  const [never] = await queryOf(tx)<{ api: string; release: string }>(
    `SELECT i.api, i.release FROM jsonb_to_recordset($2::jsonb) AS i(api text, release text)
     WHERE NOT EXISTS (SELECT FROM placement_served s WHERE s.environment_id = $1 AND s.api_id = i.api AND s.digest = decode(i.release, 'hex')) LIMIT 1`,
    [environment, JSON.stringify(releases)],
  );
  if (never)
    throw fail(
      'not_promotable',
      `the release ${never.release} of "${never.api}" has never served in "${environment}"; promote it`,
    );
}

/** What it went back for stays said when somebody ends the waiting for replicas. */
function becauseOf({ state, because }: PromotionRow, { actor }: Caller, reason: string | null): Because | null {
  if (reason === null) return null;
  return state === 'rolling-back' && because
    ? { ...because, actor, detail: `${because.detail}; ${reason}` }
    : { detail: reason, actor };
}

function placeInWaves(waves: PromotionRow['waves'], region: string): string {
  const wave = waves.findIndex(({ regions }) => regions.includes(region));
  return `strategy.waves[${wave}][${waves[wave]?.regions.indexOf(region)}]`;
}

function queryOf({ manager }: WriteTx): Parameters<typeof readPromotion>[0] {
  return (sql, parameters) => manager.query(sql, parameters);
}

function createdAnswer(row: PromotionRow): Answer<PromotionView> {
  return created(viewOf(row, null), `/v1/promotions/${row.id}`, String(row.step));
}

function answerOf(row: PromotionRow): Answer<PromotionView> {
  return ok(viewOf(row, null), String(row.step));
}
