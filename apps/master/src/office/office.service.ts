import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { type Answer, type Caller, ok } from '../http/request.js';
import { type Decision, type Fence, PublishingHealth } from '../publishing/index.js';
import { WriteTx } from '../writes/write-tx.js';
import type { OfficeView } from './office.endpoints.js';

interface Row {
  epoch: number;
  revision: string;
  leader: string | null;
  fence: Fence | null;
  decision: Decision | null;
}

@Injectable()
export class OfficeService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly health: PublishingHealth,
  ) {}

  async get(environment: string): Promise<Answer<OfficeView>> {
    const published = await this.health.published();
    return ok(this.viewOf(environment, await read(this.source.manager, environment), published));
  }

  /** Not one of the `Writes`: those are refused as long as a fence stands. */
  async decide(caller: Caller, environment: string, decision: Decision): Promise<Answer<OfficeView>> {
    const published = await this.health.published();
    return this.source.transaction(async (manager) => {
      await manager.query('SELECT FROM chain WHERE environment_id = $1 FOR UPDATE', [environment]);
      const row = await read(manager, environment);
      const before = this.viewOf(environment, row, published);
      if (row.fence && decision === 'proceed')
        throw fail('conflict', `"${environment}" is fenced off: decide between adopt and discard-theirs`);
      if (!row.fence && decision !== 'proceed')
        throw fail('conflict', `nothing is to be decided: no other master's chain is in the way of "${environment}"`);
      // one that only begins its term is asked nothing either: it finds out by itself, or says what it waits for
      if (!row.fence && row.leader !== null && before.waitsFor === null)
        throw fail('conflict', `nothing is to be decided: "${environment}" is published`);
      await manager.query('UPDATE chain SET decision = $2, decided_by = $3 WHERE environment_id = $1', [
        environment,
        decision,
        caller.actor,
      ]);
      const tx = new WriteTx(manager, caller);
      tx.audit({
        action: 'office.decide',
        target: `environment/${environment}`,
        before: { fence: row.fence, waitsFor: before.waitsFor },
        after: { decision },
      });
      await WriteTx.flush(manager, [tx]);
      return { status: 202, body: { ...before, decision } };
    });
  }

  private viewOf(environment: string, row: Row, published: ReadonlySet<string>): OfficeView {
    const waitsFor = this.health.standing(environment)?.waitsFor ?? null;
    const state = row.fence ? 'fenced' : published.has(environment) ? 'publishing' : 'waiting';
    const { epoch, leader, fence, decision } = row;
    return { environment, state, epoch, revision: Number(row.revision), leader, fence, waitsFor, decision };
  }
}

async function read(manager: EntityManager, environment: string): Promise<Row> {
  const rows: Row[] = await manager.query(
    `SELECT coalesce(c.epoch, 0) AS epoch, coalesce(c.revision, 0) AS revision, c.leader, c.fence, c.decision
     FROM environment e LEFT JOIN chain c ON c.environment_id = e.id WHERE e.id = $1`,
    [environment],
  );
  if (!rows[0]) throw fail('not_found', `there is no environment "${environment}"`);
  return rows[0];
}
