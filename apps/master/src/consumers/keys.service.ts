import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, KEY_ID_BYTES, newKeySecret, secretHash } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { ApiKeyRow, ApplicationRow } from '../database/entities.js';
import { prepared } from '../database/prepared.js';
import { AGE_AND_ID, decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { type Answer, type Caller, created, ok } from '../http/request.js';
import { applicationMark, keyMark } from '../publishing/index.js';
import type { WriteTx } from '../writes/write-tx.js';
import { type Shared, Writes } from '../writes/writes.js';
import { lockApplication, noSuchApplication } from './applications.service.js';
import type { IssuedKeyView, KeyView } from './keys.endpoints.js';

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
      const end = new Date(Date.now() + overlapSeconds * 1000);
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
  manager: EntityManager,
  requests: Shared<KeyFields>[],
): Promise<(Answer<IssuedKeyView> | null)[]> {
  const made = requests.map(({ tx, item }) => ({ tx, ...newKey(tx.caller, item) }));
  const keys = made.map(({ key }) => key);
  const rows = await prepared<{ id: string; created_at: Date }>(manager, ISSUE, [
    keys.map(({ id }) => id),
    keys.map(({ application }) => application),
    keys.map(({ environment }) => environment),
    keys.map(({ hash }) => hash),
    keys.map(({ hint }) => hint),
    keys.map(({ name }) => name),
    keys.map(({ expiresAt }) => expiresAt),
    keys.map(({ createdBy }) => createdBy),
  ]);
  const inserted = new Map(rows.map((row) => [row.id, row.created_at]));
  return made.map(({ tx, key, secret }) => {
    const createdAt = inserted.get(key.id);
    return createdAt ? answerOf(issued(tx, key, createdAt, secret)) : null;
  });
}

const ISSUE = {
  name: 'key_issue',
  text: `
    WITH asked AS (
      SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::timestamptz[], $8::text[])
        AS a (id, application_id, environment_id, hash, hint, name, expires_at, created_by)
    ), held AS (
      SELECT id FROM application WHERE id IN (SELECT application_id FROM asked) FOR SHARE SKIP LOCKED
    )
    INSERT INTO api_key (id, application_id, environment_id, hash, hint, name, expires_at, created_by)
    SELECT a.* FROM asked a JOIN held h ON h.id = a.application_id JOIN environment e ON e.id = a.environment_id
    RETURNING id, created_at`,
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
    expiresAt: fields.expiresAt ? new Date(fields.expiresAt) : null,
    revokedAt: null,
    revokedReason: null,
    replacedBy: null,
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
  const { id, application, environment, hash } = key;
  const view = viewOf({ ...key, createdAt });
  tx.mark([environment], keyMark(hash.subarray(0, KEY_ID_BYTES)), applicationMark(application));
  tx.audit({ action: 'key.issue', target: `key/${id}`, after: view });
  return { ...view, secret };
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
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
  };
}
