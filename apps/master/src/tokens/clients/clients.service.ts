import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { clientKey, fail, newClientId } from '#model';
import { DataSource } from 'typeorm';
import { lockApplication, noSuchApplication } from '../../consumers/applications.service.js';
import { endOf } from '../../consumers/keys.endpoints.js';
import { credentialEvent, type Withdrawal, withdrawnEvent } from '../../events/event-kinds.js';
import { AGE_AND_ID, decodeCursor, type Page, type PageRequest, toPage } from '../../http/paging.js';
import { requireMatch } from '../../http/preconditions.js';
import { type Answer, type Caller, created, ok } from '../../http/request.js';
import { clientMark } from '../../publishing/index.js';
import type { WriteTx } from '../../writes/write-tx.js';
import { Writes } from '../../writes/writes.js';
import { soonestSecond } from '../issuing-lock.js';
import { TokenKeys } from '../keys/token-keys.js';
import { OwnIssuer } from '../own-issuer.js';
import { addSecret, type ClientRow, CLIENTS, oneClient, saveClient, viewOf } from './client-rows.js';
import type { ClientView, IssuedClientView } from './clients.endpoints.js';

export interface ClientFields {
  environment: string;
  name?: string;
  scopes: string[];
  ips?: string[];
  tokenSeconds: number;
  expiresAt?: string;
}

export interface ClientChange {
  name?: string | null;
  scopes?: string[];
  ips?: string[] | null;
  tokenSeconds?: number;
  expiresAt?: string | null;
}

/** One secret that a rotation leaves, and some more for who rotates again before the overlap is over. */
const MOST_SECRETS = 5;
const AGE_AND_CLIENT = [AGE_AND_ID[0] as RegExp, /^hgc_[0-9A-Za-z]{22}$/];

@Injectable()
export class ClientsService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
    private readonly keys: TokenKeys,
    private readonly issuer: OwnIssuer,
  ) {}

  create(caller: Caller, application: string, fields: ClientFields): Promise<Answer<IssuedClientView>> {
    return this.writes.run(caller, async (tx) => {
      await requirePlace(tx, application, fields.environment);
      await this.keys.ensure(tx, fields.environment);
      const id = newClientId();
      const chainId = clientKey(await this.issuer.name(tx.manager, true), id);
      await tx.manager.query(
        `INSERT INTO oauth_client (id, application_id, environment_id, chain_id, name, scopes, ips, token_seconds, expires_at, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
        [
          id,
          application,
          fields.environment,
          chainId,
          fields.name ?? null,
          fields.scopes,
          fields.ips ?? null,
          fields.tokenSeconds,
          fields.expiresAt ? endOf(fields.expiresAt) : null,
          caller.actor,
        ],
      );
      const secret = await addSecret(tx, id);
      tx.mark([fields.environment], clientMark(chainId));
      const row = await oneClient(tx.manager, application, id);
      tx.audit({ action: 'client.create', target: `client/${id}`, after: viewOf(row) });
      tx.event(credentialEvent('credential.issued', 'client', viewOf(row)));
      return issued(row, secret);
    });
  }

  async list(
    application: string,
    environment: string | undefined,
    page: PageRequest,
  ): Promise<Answer<Page<ClientView>>> {
    const { manager } = this.source;
    const found: unknown[] = await manager.query('SELECT FROM application WHERE id = $1', [application]);
    if (found.length === 0) throw noSuchApplication(application);
    const after = decodeCursor(page.cursor, 2, AGE_AND_CLIENT);
    const rows: (ClientRow & { at: string })[] = await manager.query(
      `${CLIENTS} WHERE c.application_id = $1 AND ($2::text IS NULL OR c.environment_id = $2)
         AND ($3::timestamptz IS NULL OR (c.created_at, c.id) > ($3, $4::text)) ORDER BY c.created_at, c.id LIMIT $5`,
      [application, environment ?? null, after?.[0] ?? null, after?.[1] ?? null, page.limit + 1],
    );
    return ok(toPage(rows, page.limit, ({ at, id }) => [at, id], viewOf));
  }

  async get(application: string, id: string): Promise<Answer<ClientView>> {
    return found(await oneClient(this.source.manager, application, id));
  }

  update(caller: Caller, application: string, id: string, change: ClientChange): Promise<Answer<ClientView>> {
    return this.change(caller, application, id, 'update', async (_, row) => {
      requireMatch(caller, String(row.version));
      requireInForce(row);
      const { expiresAt, ...others } = change;
      Object.assign(row, others);
      if (expiresAt !== undefined) row.expiresAt = expiresAt === null ? null : endOf(expiresAt);
    });
  }

  async rotate(
    caller: Caller,
    application: string,
    id: string,
    overlapSeconds: number,
  ): Promise<Answer<IssuedClientView>> {
    return this.writes.run(caller, async (tx) => {
      await lockApplication(tx.manager, application);
      const row = await oneClient(tx.manager, application, id);
      const before = viewOf(row);
      if (before.status !== 'active')
        throw fail('conflict', `the client ${id} is ${before.status}; only an active one can be given another secret`);
      if (overlapSeconds > 0 && row.secrets.length >= MOST_SECRETS)
        throw fail(
          'conflict',
          `${MOST_SECRETS} secrets of the client ${id} are still taken; overlapSeconds 0 ends them`,
        );
      await tx.manager.query(
        `WITH gone AS (DELETE FROM oauth_client_secret WHERE client_id = $1 AND (expires_at <= now() OR $2::integer = 0))
         UPDATE oauth_client_secret SET expires_at = least(expires_at, now() + $2::integer * interval '1 second')
         WHERE client_id = $1 AND $2::integer > 0 AND (expires_at IS NULL OR expires_at > now())`,
        [id, overlapSeconds],
      );
      const secret = await addSecret(tx, id);
      const saved = await saveClient(tx, row);
      tx.audit({ action: 'client.rotate', target: `client/${id}`, before, after: viewOf(saved) });
      tx.event(credentialEvent('credential.rotated', 'client', viewOf(saved)));
      return issued(saved, secret);
    });
  }

  revoke(caller: Caller, application: string, id: string, reason?: string): Promise<Answer<ClientView>> {
    return this.change(caller, application, id, 'revoke', async ({ manager }, row) => {
      if (row.revokedAt) return false;
      row.revokedAt = new Date();
      row.revokedReason = reason ?? null;
      await manager.query('DELETE FROM oauth_client_secret WHERE client_id = $1', [id]);
      return true;
    });
  }

  revokeTokens(caller: Caller, application: string, id: string, before?: string): Promise<Answer<ClientView>> {
    return this.change(caller, application, id, 'revoke-tokens', async ({ manager }, row) => {
      requireInForce(row);
      const time = before === undefined ? await soonestSecond(manager, id) : new Date(before);
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
    work: (tx: WriteTx, row: ClientRow) => Promise<boolean | void>,
  ): Promise<Answer<ClientView>> {
    return this.writes.run(caller, async (tx) => {
      await lockApplication(tx.manager, application);
      const row = await oneClient(tx.manager, application, id);
      const before = viewOf(row);
      if ((await work(tx, row)) === false) return found(row);
      const saved = await saveClient(tx, row);
      tx.audit({ action: `client.${verb}`, target: `client/${id}`, before, after: viewOf(saved) });
      if (verb !== 'update') tx.event(withdrawnEvent('client', verb, viewOf(saved)));
      return found(saved);
    });
  }
}

/** Shared, as for keys: those of an application need not wait for each other, but no change of it may miss one. */
async function requirePlace({ manager }: WriteTx, application: string, environment: string): Promise<void> {
  const [place]: { environment: string | null }[] = await manager.query(
    'SELECT e.id AS environment FROM application a LEFT JOIN environment e ON e.id = $2 WHERE a.id = $1 FOR SHARE OF a',
    [application, environment],
  );
  if (!place) throw noSuchApplication(application);
  if (place.environment !== null) return;
  const problem = `there is no environment "${environment}"`;
  throw fail('unknown_reference', problem, { fields: [{ field: 'environment', problem }] });
}

function requireInForce({ id, revokedAt }: ClientRow): void {
  if (revokedAt) throw fail('conflict', `the client ${id} is revoked, for ever`);
}

const found = (row: ClientRow): Answer<ClientView> => ok(viewOf(row), String(row.version));

function issued(row: ClientRow, secret: string): Answer<IssuedClientView> {
  const path = `/v1/applications/${row.application}/clients/${row.id}`;
  return created({ ...viewOf(row), secret }, path, String(row.version));
}
