import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { clientKey, fail } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { lockApplication, noSuchApplication } from '../../consumers/applications.service.js';
import { endOf } from '../../consumers/keys.endpoints.js';
import { onViolation } from '../../database/constraints.js';
import { credentialEvent, type Withdrawal, withdrawnEvent } from '../../events/event-kinds.js';
import { AGE_AND_ID, decodeCursor, type Page, type PageRequest, toPage } from '../../http/paging.js';
import { requireMatch } from '../../http/preconditions.js';
import { type Answer, type Caller, created, ok } from '../../http/request.js';
import { clientMark } from '../../publishing/index.js';
import type { WriteTx } from '../../writes/write-tx.js';
import { Writes } from '../../writes/writes.js';
import type { OutsideClientView } from './outside-clients.endpoints.js';

interface OutsideClientRow {
  id: string;
  application: string;
  environment: string;
  issuer: string;
  clientId: string;
  chainId: Buffer;
  scopes: string[] | null;
  ips: string[] | null;
  notBefore: Date | null;
  revokedAt: Date | null;
  revokedReason: string | null;
  version: number;
  createdAt: Date;
  createdBy: string;
}

export interface OutsideClientFields {
  environment: string;
  issuer: string;
  clientId: string;
  scopes?: string[] | null;
  ips?: string[];
}

const CLIENTS = `
  SELECT c.id, c.application_id AS application, c.environment_id AS environment, i.issuer, c.client_id AS "clientId", c.chain_id AS "chainId",
    c.scopes, c.ips, c.not_before AS "notBefore", c.revoked_at AS "revokedAt", c.revoked_reason AS "revokedReason", c.version,
    c.created_at AS "createdAt", c.created_by AS "createdBy", c.created_at::text AS at
  FROM outside_client c JOIN token_issuer i ON i.id = c.issuer_id`;
const SAVE = `
  UPDATE outside_client SET scopes = $2, ips = $3, not_before = $4, revoked_at = $5, revoked_reason = $6, version = version + 1
  WHERE id = $1`;

/** Clients of outside issuers: to which application their tokens belong. What changes an application's clients locks its row. */
@Injectable()
export class OutsideClientsService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
  ) {}

  bind(caller: Caller, application: string, fields: OutsideClientFields): Promise<Answer<OutsideClientView>> {
    return this.writes.run(caller, async (tx) => {
      const { environment, issuer, clientId, scopes, ips } = fields;
      await lockApplication(tx.manager, application);
      // shared: whoever deletes the issuer waits, and takes this one along
      const [trusted]: { id: string }[] = await tx.manager.query(
        'SELECT id FROM token_issuer WHERE environment_id = $1 AND issuer = $2 FOR KEY SHARE',
        [environment, issuer],
      );
      if (!trusted) throw notTrusted(environment, issuer);
      const id = randomUUID();
      const chainId = clientKey(issuer, clientId);
      await onViolation(
        tx.manager.query(
          `INSERT INTO outside_client (id, application_id, environment_id, issuer_id, client_id, chain_id, scopes, ips, created_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
          [id, application, environment, trusted.id, clientId, chainId, sorted(scopes), ips ?? null, caller.actor],
        ),
        {
          outside_client_in_use: () =>
            fail(
              'conflict',
              `the client "${clientId}" of ${issuer} is bound in "${environment}" already; revoke that first`,
              {
                fields: [{ field: 'clientId', problem: 'is bound already' }],
              },
            ),
        },
      );
      tx.mark([environment], clientMark(chainId));
      const row = await one(tx.manager, application, id);
      tx.audit({ action: 'outside-client.bind', target: `outside-client/${id}`, after: viewOf(row) });
      tx.event(credentialEvent('credential.issued', 'outside-client', nameOf(viewOf(row))));
      return created(viewOf(row), `/v1/applications/${application}/outside-clients/${id}`, String(row.version));
    });
  }

  async list(
    application: string,
    environment: string | undefined,
    page: PageRequest,
  ): Promise<Answer<Page<OutsideClientView>>> {
    const known: unknown[] = await this.source.query('SELECT FROM application WHERE id = $1', [application]);
    if (known.length === 0) throw noSuchApplication(application);
    const after = decodeCursor(page.cursor, 2, AGE_AND_ID);
    const rows: (OutsideClientRow & { at: string })[] = await this.source.query(
      `${CLIENTS} WHERE c.application_id = $1 AND ($2::text IS NULL OR c.environment_id = $2)
         AND ($3::timestamptz IS NULL OR (c.created_at, c.id) > ($3, $4::uuid)) ORDER BY c.created_at, c.id LIMIT $5`,
      [application, environment ?? null, after?.[0] ?? null, after?.[1] ?? null, page.limit + 1],
    );
    return ok(toPage(rows, page.limit, ({ at, id }) => [at, id], viewOf));
  }

  async get(application: string, id: string): Promise<Answer<OutsideClientView>> {
    return found(await one(this.source.manager, application, id));
  }

  update(
    caller: Caller,
    application: string,
    id: string,
    change: { scopes?: string[] | null; ips?: string[] | null },
  ): Promise<Answer<OutsideClientView>> {
    return this.change(caller, application, id, 'update', (row) => {
      requireMatch(caller, String(row.version));
      requireInForce(row);
      if (change.scopes !== undefined) row.scopes = sorted(change.scopes);
      if (change.ips !== undefined) row.ips = change.ips;
      return true;
    });
  }

  revoke(caller: Caller, application: string, id: string, reason?: string): Promise<Answer<OutsideClientView>> {
    return this.change(caller, application, id, 'revoke', (row) => {
      if (row.revokedAt) return false;
      row.revokedAt = new Date();
      row.revokedReason = reason ?? null;
      return true;
    });
  }

  /** @param before default: now, by whose clock its issuer's differs as it may */
  revokeTokens(caller: Caller, application: string, id: string, before?: string): Promise<Answer<OutsideClientView>> {
    return this.change(caller, application, id, 'revoke-tokens', (row) => {
      requireInForce(row);
      // `iat` has whole seconds: one more than now, for what is issued in this one is refused as well
      const time = before === undefined ? endOf(Date.now() + 1) : endOf(before);
      if (row.notBefore && row.notBefore >= time) return false;
      row.notBefore = time;
      return true;
    });
  }

  /** @param work answers false where there is nothing to change */
  private change(
    caller: Caller,
    application: string,
    id: string,
    verb: 'update' | Withdrawal,
    work: (row: OutsideClientRow) => boolean,
  ): Promise<Answer<OutsideClientView>> {
    return this.writes.run(caller, async (tx) => {
      await lockApplication(tx.manager, application);
      const row = await one(tx.manager, application, id);
      const before = viewOf(row);
      if (!work(row)) return found(row);
      const saved = await save(tx, row);
      tx.audit({ action: `outside-client.${verb}`, target: `outside-client/${id}`, before, after: viewOf(saved) });
      if (verb !== 'update') tx.event(withdrawnEvent('outside-client', verb, nameOf(viewOf(saved))));
      return found(saved);
    });
  }
}

async function save(tx: WriteTx, row: OutsideClientRow): Promise<OutsideClientRow> {
  const { id, scopes, ips, notBefore, revokedAt, revokedReason } = row;
  await tx.manager.query(SAVE, [id, scopes, ips, notBefore, revokedAt, revokedReason]);
  tx.mark([row.environment], clientMark(row.chainId));
  return one(tx.manager, row.application, id);
}

async function one(manager: EntityManager, application: string, id: string): Promise<OutsideClientRow> {
  const [row]: OutsideClientRow[] = await manager.query(`${CLIENTS} WHERE c.application_id = $1 AND c.id = $2`, [
    application,
    id,
  ]);
  if (!row) throw fail('not_found', `the application ${application} has no outside client "${id}"`);
  return row;
}

function requireInForce({ id, revokedAt }: OutsideClientRow): void {
  if (revokedAt) throw fail('conflict', `the outside client ${id} is revoked; bind it anew`);
}

/** Its issuer knows it by that. */
const nameOf = (view: OutsideClientView): OutsideClientView & { name: string } => ({ ...view, name: view.clientId });

const sorted = (scopes: string[] | null | undefined): string[] | null => scopes?.toSorted() ?? null;

const found = (row: OutsideClientRow): Answer<OutsideClientView> => ok(viewOf(row), String(row.version));

function notTrusted(environment: string, issuer: string): Error {
  const problem = `the environment "${environment}" trusts no issuer ${issuer}`;
  return fail('unknown_reference', problem, { fields: [{ field: 'issuer', problem }] });
}

function viewOf(row: OutsideClientRow): OutsideClientView {
  const { id, application, environment, issuer, clientId, scopes, ips, revokedReason, createdBy } = row;
  return {
    id,
    application,
    environment,
    issuer,
    clientId,
    scopes,
    ips,
    status: row.revokedAt ? 'revoked' : 'active',
    notBefore: row.notBefore?.toISOString() ?? null,
    revokedAt: row.revokedAt?.toISOString() ?? null,
    revokedReason,
    createdAt: row.createdAt.toISOString(),
    createdBy,
  };
}
