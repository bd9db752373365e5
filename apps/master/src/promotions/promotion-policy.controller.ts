import { Controller } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import { requireMatch } from '../http/preconditions.js';
import { type Answer, type Caller, ok } from '../http/request.js';
import { lockPlacements } from '../topology/placement-batch.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import { getPromotionPolicy, type PromotionPolicyView, putPromotionPolicy } from './promotion-policy.endpoints.js';

/** What environments ask of promotions into them; by default nothing. */
@Controller()
export class PromotionPolicyController {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
  ) {}

  @Route(getPromotionPolicy)
  async get(@Input() { params }: InputOf<typeof getPromotionPolicy>): Promise<Answer<PromotionPolicyView>> {
    return answerOf(params.environment, await read(this.source.manager, params.environment));
  }

  @Route(putPromotionPolicy)
  put(
    @Input() { params: { environment }, body }: InputOf<typeof putPromotionPolicy>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<PromotionPolicyView>> {
    return this.writes.run(caller, async (tx) => {
      await lockPlacements(tx.manager, environment); // whoever asks for a promotion holds it, too
      const before = await read(tx.manager, environment);
      requireMatch(caller, String(before.version));
      await setPromotionPolicy(tx, environment, body.approvals);
      return answerOf(environment, await read(tx.manager, environment));
    });
  }
}

/** The caller has locked the placements of the environment. @throws HelioError `not_found` */
export async function setPromotionPolicy(tx: WriteTx, environment: string, approvals: number): Promise<void> {
  const before = await read(tx.manager, environment);
  await tx.manager.query(
    `INSERT INTO promotion_policy (environment_id, approvals) VALUES ($1, $2)
     ON CONFLICT (environment_id) DO UPDATE SET approvals = excluded.approvals, version = promotion_policy.version + 1`,
    [environment, approvals],
  );
  tx.audit({
    action: 'promotion-policy.update',
    target: `promotion-policy/${environment}`,
    before: { approvals: before.approvals },
    after: { approvals },
  });
}

interface Policy {
  approvals: number;
  version: number;
}

async function read(manager: EntityManager, environment: string): Promise<Policy> {
  const [row]: Policy[] = await manager.query(
    `SELECT coalesce(p.approvals, 0) AS approvals, coalesce(p.version, 0) AS version
     FROM environment e LEFT JOIN promotion_policy p ON p.environment_id = e.id WHERE e.id = $1`,
    [environment],
  );
  if (!row) throw fail('not_found', `there is no environment "${environment}"`);
  return row;
}

function answerOf(environment: string, { approvals, version }: Policy): Answer<PromotionPolicyView> {
  return ok({ environment, approvals }, String(version));
}
