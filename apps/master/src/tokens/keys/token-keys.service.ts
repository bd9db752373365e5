import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { type Answer, type Caller, created, ok } from '../../http/request.js';
import { Writes } from '../../writes/writes.js';
import type { TokenKeyView } from './token-keys.endpoints.js';
import { lockEnvironment, TokenKeys } from './token-keys.js';

/** Every replica holds all of them, and a record of an issuer has 64 at the most. */
const MOST_KEYS = 16;

@Injectable()
export class TokenKeysService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
    private readonly keys: TokenKeys,
  ) {}

  async list(environment: string): Promise<Answer<{ items: TokenKeyView[] }>> {
    const { manager } = this.source;
    const found: unknown[] = await manager.query('SELECT FROM environment WHERE id = $1', [environment]);
    if (found.length === 0) throw fail('not_found', `there is no environment "${environment}"`);
    return ok({ items: await views(manager, environment) });
  }

  rotate(caller: Caller, environment: string, emergency: boolean): Promise<Answer<TokenKeyView>> {
    return this.writes.run(caller, async (tx) => {
      await lockEnvironment(tx, environment);
      const before = await views(tx.manager, environment);
      const announced = before.find(({ state }) => state === 'announced');
      if (announced && !emergency)
        throw fail('conflict', `the key ${announced.kid} is announced, and signs from ${announced.signsFrom} on`);
      if (before.length >= MOST_KEYS && !emergency)
        throw fail('conflict', `${before.length} keys are on the chain, which is the most; wait until one has left`);
      const kid = emergency ? await this.keys.replaceAll(tx, environment) : await this.keys.announce(tx, environment);
      const view = (await views(tx.manager, environment)).find((one) => one.kid === kid);
      if (!view) throw new Error(`the key ${kid} is gone in the transaction that made it`);
      tx.audit({
        action: emergency ? 'token-key.replace' : 'token-key.rotate',
        target: `environment/${environment}`,
        before: { keys: before.map((one) => one.kid) },
        after: { keys: emergency ? [kid] : [...before.map((one) => one.kid), kid] },
      });
      return created(view, `/v1/environments/${environment}/token-keys`);
    });
  }
}

interface Row {
  kid: string;
  signs_from: Date;
  leaves_at: Date | null;
  created_at: Date;
  created_by: string;
  announced: boolean;
}

/** Oldest first. */
async function views(manager: EntityManager, environment: string): Promise<TokenKeyView[]> {
  const rows: Row[] = await manager.query(
    `SELECT kid, signs_from, leaves_at, created_at, created_by, signs_from > now() AS announced
     FROM token_key WHERE environment_id = $1 ORDER BY signs_from, kid`,
    [environment],
  );
  const newest = rows.findLast(({ announced }) => !announced);
  return rows.map((row) => ({
    kid: row.kid,
    environment,
    state: row.announced ? 'announced' : row === newest ? 'signing' : 'leaving',
    signsFrom: row.signs_from.toISOString(),
    leavesAt: row.leaves_at?.toISOString() ?? null,
    createdAt: row.created_at.toISOString(),
    createdBy: row.created_by,
  }));
}
