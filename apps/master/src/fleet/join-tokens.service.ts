import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, newToken, secretHash } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { onViolation } from '../database/constraints.js';
import { decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { matchIfGiven } from '../http/preconditions.js';
import { type Answer, type Caller, created, noContent, ok } from '../http/request.js';
import { Writes } from '../writes/writes.js';
import type { JoinTokenMade, JoinTokenView } from './join-tokens.endpoints.js';

interface NewJoinToken {
  region: string;
  expiresInSeconds: number;
  maxUses: number;
}

/** A token never changes but for its uses: its ETag is that of its only state. */
const ONLY_VERSION = '1';

@Injectable()
export class JoinTokensService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
  ) {}

  create(caller: Caller, { region, expiresInSeconds, maxUses }: NewJoinToken): Promise<Answer<JoinTokenMade>> {
    return this.writes.run(caller, async (tx) => {
      const id = randomUUID();
      const token = newToken('hg_join');
      const values = [id, secretHash(token), region, maxUses, expiresInSeconds, caller.actor];
      await onViolation(tx.manager.query(INSERT, values), {
        join_token_region_id_fkey: () =>
          fail('unknown_reference', `there is no region "${region}"`, {
            fields: [{ field: 'region', problem: `no region has the id "${region}"` }],
          }),
      });
      const view = await one(tx.manager, id);
      tx.audit({ action: 'join-token.create', target: `join-token/${id}`, after: view });
      return created({ ...view, token }, `/v1/join-tokens/${id}`, ONLY_VERSION);
    });
  }

  async list({
    limit,
    cursor,
    environment,
    region,
  }: PageRequest & { environment?: string; region?: string }): Promise<Answer<Page<JoinTokenView>>> {
    const after = decodeCursor(cursor, 2);
    const rows: Row[] = await this.source.query(
      `${SELECT} WHERE ($1::text IS NULL OR g.environment_id = $1) AND ($2::text IS NULL OR t.region_id = $2)
         AND ($3::text IS NULL OR (t.region_id, t.id::text) > ($3, $4::text))
       ORDER BY t.region_id, t.id::text LIMIT $5`,
      [environment ?? null, region ?? null, after?.[0] ?? null, after?.[1] ?? null, limit + 1],
    );
    return ok(toPage(rows, limit, (row) => [row.region, row.id], viewOf));
  }

  async get(id: string): Promise<Answer<JoinTokenView>> {
    return ok(await one(this.source.manager, id), ONLY_VERSION);
  }

  delete(caller: Caller, id: string): Promise<Answer<undefined>> {
    return this.writes.run(caller, async (tx) => {
      const before = await one(tx.manager, id);
      matchIfGiven(caller, ONLY_VERSION);
      await tx.manager.query('DELETE FROM join_token WHERE id = $1', [id]);
      tx.audit({ action: 'join-token.delete', target: `join-token/${id}`, before });
      return noContent();
    });
  }
}

const INSERT = `
  INSERT INTO join_token (id, token_hash, region_id, max_uses, expires_at, created_by)
  VALUES ($1, $2, $3, $4, now() + $5 * interval '1 second', $6)`;

interface Row {
  id: string;
  region: string;
  environment: string;
  max_uses: number;
  uses: number;
  expires_at: Date;
  created_at: Date;
  created_by: string;
}

const SELECT = `
  SELECT t.id, t.region_id AS region, g.environment_id AS environment, t.max_uses, t.uses, t.expires_at, t.created_at, t.created_by
  FROM join_token t JOIN region g ON g.id = t.region_id`;

async function one(manager: EntityManager, id: string): Promise<JoinTokenView> {
  const rows: Row[] = await manager.query(`${SELECT} WHERE t.id = $1`, [id]);
  if (!rows[0]) throw fail('not_found', `there is no join token ${id}`);
  return viewOf(rows[0]);
}

function viewOf(row: Row): JoinTokenView {
  return {
    id: row.id,
    region: row.region,
    environment: row.environment,
    maxUses: row.max_uses,
    uses: row.uses,
    expiresAt: row.expires_at.toISOString(),
    createdAt: row.created_at.toISOString(),
    createdBy: row.created_by,
  };
}
