import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, KEY_ID_BYTES, newKeySecret, secretHash, TABLE } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { ApiKeyRow, ApplicationRow } from '../database/entities.js';
import { AGE_AND_ID, decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { type Answer, type Caller, created, ok } from '../http/request.js';
import { type Entry, keyMark } from '../publishing/index.js';
import { flushing, type WriteTx, XID } from '../writes/write-tx.js';
import { type OnlyStatement, type Shared, type Together, Writes } from '../writes/writes.js';
import { lockApplication, noSuchApplication } from './applications.service.js';
import { endOf, type IssuedKeyView, type KeyView } from './keys.endpoints.js';

const HINT_LENGTH = 'hg_live_'.length + 4;

export interface KeyFields {
  application: string;
  environment: string;
  name?: string | null;
  expiresAt?: string;
}

@Injectable()
export class KeysService {
  /** Keys are what is written most, by many at once: they share transactions. */
  readonly issue: (caller: Caller, fields: KeyFields) => Promise<Answer<IssuedKeyView>>;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
  ) {
    this.issue = writes.inTurns(({ environment }) => environment, issueTogether, issueAlone);
  }

  async list(application: string, environment: string | undefined, page: PageRequest): Promise<Answer<Page<KeyView>>> {
    if (!(await this.source.manager.existsBy(ApplicationRow, { id: application })))
      throw noSuchApplication(application);
    const after = decodeCursor(page.cursor, 2, AGE_AND_ID);
    const query = this.source.manager
      .createQueryBuilder(ApiKeyRow, 'k')
      .where('k.application_id = :application', { application })
      .orderBy('k.created_at')
      .addOrderBy('k.id')
      .limit(page.limit + 1);
    if (environment) query.andWhere('k.environment_id = :environment', { environment });
    if (after) query.andWhere('(k.created_at, k.id) > (:at::timestamptz, :id::uuid)', { at: after[0], id: after[1] });
    const rows = await query.addSelect('k.created_at::text', 'at').getRawAndEntities<{ at: string }>();
    const items = rows.entities.map((row, index) => ({ row, at: rows.raw[index]?.at ?? '' }));
    return ok(
      toPage(
        items,
        page.limit,
        ({ row, at }) => [at, row.id],
        ({ row }) => viewOf(row),
      ),
    );
  }

  async get(application: string, id: string): Promise<Answer<KeyView>> {
    const row = await one(this.source.manager, application, id);
    return ok(viewOf(row), String(row.version));
  }

  rotate(
    caller: Caller,
    application: string,
    id: string,
    overlapSeconds: number,
    expiresAt?: string,
  ): Promise<Answer<IssuedKeyView>> {
    return this.writes.run(caller, async (tx) => {
      await lockApplication(tx.manager, application);
      const old = await one(tx.manager, application, id);
      const before = viewOf(old);
      if (before.status !== 'active')
        throw fail('conflict', `the key ${id} is ${before.status}; only an active key can be rotated: issue a new one`);
      if (old.replacedBy) throw fail('conflict', `the key ${id} was rotated before: ${old.replacedBy} replaces it`);
      const issued = await insertSecret(tx, { application, environment: old.environment, name: old.name, expiresAt });
      const end = endOf(Date.now() + overlapSeconds * 1000);
      if (!old.expiresAt || old.expiresAt > end) old.expiresAt = end;
      old.replacedBy = issued.id;
      await this.save(tx, old);
      tx.audit({ action: 'key.rotate', target: `key/${id}`, before, after: viewOf(old) });
      return answerOf(issued);
    });
  }

  revoke(caller: Caller, application: string, id: string, reason?: string): Promise<Answer<KeyView>> {
    return this.writes.run(caller, async (tx) => {
      await lockApplication(tx.manager, application);
      const row = await one(tx.manager, application, id);
      if (row.revokedAt) return ok(viewOf(row), String(row.version));
      const before = viewOf(row);
      row.revokedAt = new Date();
      row.revokedReason = reason ?? null;
      const saved = await this.save(tx, row);
      tx.audit({ action: 'key.revoke', target: `key/${id}`, before, after: viewOf(saved) });
      return ok(viewOf(saved), String(saved.version));
    });
  }

  private async save(tx: WriteTx, row: ApiKeyRow): Promise<ApiKeyRow> {
    const [found]: { chain_id: Buffer }[] = await tx.manager.query('SELECT chain_id FROM api_key WHERE id = $1', [
      row.id,
    ]);
    if (!found) throw new Error(`the key ${row.id} is gone while its application is locked`);
    tx.mark([row.environment], keyMark(found.chain_id));
    return tx.manager.save(row);
  }
}

/**
 * Issues those keys whose application and environment exist, where nobody changes the application at the moment: an
 * application that is locked must not hold up the keys of others.
 */
async function issueTogether(
  query: OnlyStatement,
  requests: readonly Shared<KeyFields>[],
): Promise<Together<IssuedKeyView>> {
  const made = requests.map(({ caller, item }) => ({ caller, ...newKey(caller, item) }));
  const asked = made.map(({ caller, key }) => {
    const { createdAt: _, ...after } = viewOf({ ...key, createdAt: UNKNOWN });
    const { actor, role, requestId: request_id } = caller;
    return { ...after, hash: key.hash.toString('hex'), actor, role, request_id, after };
  });
  const rows = await query<{ id: string; created_at: string; xid: string }>(ISSUE, [JSON.stringify(asked)]);
  const inserted = new Map(rows.map((row) => [row.id, new Date(row.created_at)]));
  const marked: Entry[] = [];
  const answers = made.map(({ key, secret }) => {
    const createdAt = inserted.get(key.id);
    if (!createdAt) return null;
    marked.push(markOf(key));
    return answerOf({ ...viewOf({ ...key, createdAt }), secret });
  });
  return { answers, xid: rows[0]?.xid ?? null, marked };
}

/** PostgreSQL's clock says when: those of several masters would not agree. */
const UNKNOWN = new Date(0);

const ISSUE = {
  name: 'key_issue',
  text: `
    WITH asked AS (
      SELECT * FROM jsonb_to_recordset($1::jsonb)
        AS a (id uuid, application uuid, environment text, hash text, hint text, name text, "expiresAt" timestamptz, "createdBy" text,
              actor text, role text, request_id text, after jsonb)
    ), held AS (
      SELECT id FROM application WHERE id IN (SELECT application FROM asked) FOR SHARE SKIP LOCKED
    ), inserted AS (
      INSERT INTO api_key (id, application_id, environment_id, hash, hint, name, expires_at, created_by)
      SELECT a.id, a.application, a.environment, decode(a.hash, 'hex'), a.hint, a.name, a."expiresAt", a."createdBy"
      FROM asked a JOIN held h ON h.id = a.application JOIN environment e ON e.id = a.environment
      RETURNING id, environment_id, chain_id,
        to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at
    ), ${flushing(
      `SELECT environment_id, ${TABLE.key}, chain_id FROM inserted`,
      `SELECT a.actor, a.role, 'key.issue', 'key/' || id, NULL::jsonb, a.after || jsonb_build_object('createdAt', i.created_at), a.request_id
       FROM asked a JOIN inserted i USING (id)`,
    )}
    SELECT id, created_at, ${XID} AS xid FROM inserted`,
};

/** Waits for whoever changes the application, and says what is wrong. */
async function issueAlone(tx: WriteTx, fields: KeyFields): Promise<Answer<IssuedKeyView>> {
  // shared: an application's keys need not wait for each other, but no change of the application may miss one
  const [found]: { environment: string | null }[] = await tx.manager.query(
    `SELECT e.id AS environment FROM application a LEFT JOIN environment e ON e.id = $2 WHERE a.id = $1 FOR SHARE OF a`,
    [fields.application, fields.environment],
  );
  if (!found) throw noSuchApplication(fields.application);
  if (found.environment === null) {
    const problem = `there is no environment "${fields.environment}"`;
    throw fail('unknown_reference', problem, { fields: [{ field: 'environment', problem }] });
  }
  return answerOf(await insertSecret(tx, fields));
}

type NewKey = Omit<ApiKeyRow, 'version' | 'createdAt'>;

function newKey(caller: Caller, fields: KeyFields): { key: NewKey; secret: string } {
  const secret = newKeySecret();
  const key = {
    id: randomUUID(),
    application: fields.application,
    environment: fields.environment,
    hash: secretHash(secret),
    hint: secret.slice(0, HINT_LENGTH),
    name: fields.name ?? null,
    expiresAt: fields.expiresAt ? endOf(fields.expiresAt) : null,
    revokedAt: null,
    revokedReason: null,
    replacedBy: null,
    lastUsedAt: null,
    createdBy: caller.actor,
  };
  return { key, secret };
}

/** A new secret for an application that the caller has locked, in an environment that exists. */
async function insertSecret(tx: WriteTx, fields: KeyFields): Promise<IssuedKeyView> {
  const { key, secret } = newKey(tx.caller, fields);
  const { generatedMaps } = await tx.manager.insert(ApiKeyRow, key);
  return issued(tx, key, (generatedMaps[0] as { createdAt: Date }).createdAt, secret);
}

/** Marks and notes a key that was inserted. */
function issued(tx: WriteTx, key: NewKey, createdAt: Date, secret: string): IssuedKeyView {
  const { id, environment } = key;
  const view = viewOf({ ...key, createdAt });
  tx.mark([environment], markOf(key));
  tx.audit({ action: 'key.issue', target: `key/${id}`, after: view });
  return { ...view, secret };
}

/** As ISSUE makes it. */
function markOf({ hash }: NewKey): Entry {
  return keyMark(hash.subarray(0, KEY_ID_BYTES));
}

function answerOf(key: IssuedKeyView): Answer<IssuedKeyView> {
  return created(key, `/v1/applications/${key.application}/keys/${key.id}`);
}

async function one(manager: EntityManager, application: string, id: string): Promise<ApiKeyRow> {
  const row = await manager.findOneBy(ApiKeyRow, { application, id });
  if (!row) throw fail('not_found', `the application ${application} has no key "${id}"`);
  return row;
}

function viewOf(row: Omit<ApiKeyRow, 'hash' | 'version'>): KeyView {
  const expired = row.expiresAt !== null && row.expiresAt.getTime() <= Date.now();
  return {
    id: row.id,
    application: row.application,
    environment: row.environment,
    name: row.name,
    hint: row.hint,
    status: row.revokedAt ? 'revoked' : expired ? 'expired' : 'active',
    expiresAt: row.expiresAt?.toISOString() ?? null,
    revokedAt: row.revokedAt?.toISOString() ?? null,
    revokedReason: row.revokedReason,
    replacedBy: row.replacedBy,
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
  };
}
