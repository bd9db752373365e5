import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, KEY_ID_BYTES, secretHash } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { ApiKeyRow, ApplicationRow } from '../database/entities.js';
import { credentialEvent } from '../events/event-kinds.js';
import { AGE_AND_ID, decodeCursor, type Page, type PageRequest, toPage } from '../http/paging.js';
import { requireMatch } from '../http/preconditions.js';
import { type Answer, type Caller, ok } from '../http/request.js';
import { keyMark } from '../publishing/index.js';
import type { WriteTx } from '../writes/write-tx.js';
import { Writes } from '../writes/writes.js';
import { lockApplication, noSuchApplication } from './applications.service.js';
import { answerOf, insertSecret, issueAlone, issueTogether, type KeyFields, scopesOf } from './issue-keys.js';
import { endOf, type IssuedKeyView, type KeyView } from './keys.endpoints.js';
import { keyViewOf } from './key-view.js';

/** What is absent stays as it is. */
interface KeyChange {
  name?: string | null;
  scopes?: string[];
  ips?: string[] | null;
  expiresAt?: string | null;
}

/** What was found where it should not be. */
export interface LeakedText {
  secret: string;
  /** false: it is only looked for */
  revoke: boolean;
  reason: string;
}

/** $1, $2: the name on the chain and the hash of a key. In the order in which applications are locked. */
const SAME_KEY = `
  SELECT k.* FROM environment e CROSS JOIN LATERAL (
    SELECT id, application_id AS application FROM api_key WHERE environment_id = e.id AND chain_id = $1 AND hash = $2 OFFSET 0
  ) AS k ORDER BY k.application, k.id`;

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
        ({ row }) => keyViewOf(row),
      ),
    );
  }

  async get(application: string, id: string): Promise<Answer<KeyView>> {
    const row = await one(this.source.manager, application, id);
    return ok(keyViewOf(row), String(row.version));
  }

  update(caller: Caller, application: string, id: string, change: KeyChange): Promise<Answer<KeyView>> {
    return this.writes.run(caller, async (tx) => {
      await lockApplication(tx.manager, application);
      const row = await one(tx.manager, application, id);
      requireMatch(caller, String(row.version));
      const before = requireActive(row, 'changed');
      if (change.name !== undefined) row.name = change.name;
      if (change.scopes !== undefined) row.scopes = scopesOf(change.scopes);
      if (change.ips !== undefined) row.ips = change.ips;
      if (change.expiresAt !== undefined) row.expiresAt = change.expiresAt === null ? null : endOf(change.expiresAt);
      const saved = await this.save(tx, row);
      tx.audit({ action: 'key.update', target: `key/${id}`, before, after: keyViewOf(saved) });
      return ok(keyViewOf(saved), String(saved.version));
    });
  }

  /** @param expiresAt of the successor; undefined: it lasts as long as the old key would have */
  rotate(
    caller: Caller,
    application: string,
    id: string,
    overlapSeconds: number,
    expiresAt?: string | null,
  ): Promise<Answer<IssuedKeyView>> {
    return this.writes.run(caller, async (tx) => {
      await lockApplication(tx.manager, application);
      const old = await one(tx.manager, application, id);
      const before = requireActive(old, 'rotated');
      if (old.replacedBy) throw fail('conflict', `the key ${id} was rotated before: ${old.replacedBy} replaces it`);
      const now = Date.now();
      const { environment, name, scopes, ips } = old;
      const issued = await insertSecret(tx, {
        application,
        environment,
        name,
        scopes: scopes ?? [],
        ips,
        expiresAt: expiresAt === undefined ? sameLifetime(old, now) : expiresAt,
      });
      const end = endOf(now + overlapSeconds * 1000);
      if (!old.expiresAt || old.expiresAt > end) old.expiresAt = end;
      old.replacedBy = issued.id;
      const saved = await this.save(tx, old);
      tx.audit({ action: 'key.rotate', target: `key/${id}`, before, after: keyViewOf(saved) });
      tx.event(credentialEvent('credential.rotated', 'key', keyViewOf(saved), { replacedBy: issued.id }));
      return answerOf(issued);
    });
  }

  revoke(caller: Caller, application: string, id: string, reason?: string): Promise<Answer<KeyView>> {
    return this.writes.run(caller, async (tx) => {
      const row = await this.revokeIn(tx, application, id, reason);
      return ok(keyViewOf(row), String(row.version));
    });
  }

  /** @returns the keys that a text is; they are revoked, if it says so */
  async leakedIn(tx: WriteTx, { secret, revoke, reason }: LeakedText): Promise<KeyView[]> {
    const hash = secretHash(secret);
    const places: { id: string; application: string }[] = await tx.manager.query(SAME_KEY, [
      hash.subarray(0, KEY_ID_BYTES),
      hash,
    ]);
    const keys: KeyView[] = [];
    for (const { id, application } of places) {
      const row = revoke
        ? await this.revokeIn(tx, application, id, reason, true)
        : await one(tx.manager, application, id);
      keys.push(keyViewOf(row));
    }
    return keys;
  }

  /** A key that is revoked already is left as it is. */
  private async revokeIn(
    tx: WriteTx,
    application: string,
    id: string,
    reason?: string,
    leaked = false,
  ): Promise<ApiKeyRow> {
    await lockApplication(tx.manager, application);
    const row = await one(tx.manager, application, id);
    if (row.revokedAt) return row;
    const before = keyViewOf(row);
    row.revokedAt = new Date();
    row.revokedReason = reason ?? null;
    const saved = await this.save(tx, row);
    const after = keyViewOf(saved);
    tx.audit({ action: 'key.revoke', target: `key/${id}`, before, after });
    tx.event(credentialEvent(leaked ? 'credential.leaked' : 'credential.revoked', 'key', after, { reason }));
    return saved;
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

async function one(manager: EntityManager, application: string, id: string): Promise<ApiKeyRow> {
  const row = await manager.findOneBy(ApiKeyRow, { application, id });
  if (!row) throw fail('not_found', `the application ${application} has no key "${id}"`);
  return row;
}

/** @returns what it is. @throws HelioError `conflict` for a key that works no more: it never will again */
function requireActive(row: ApiKeyRow, what: string): KeyView {
  const view = keyViewOf(row);
  if (view.status === 'active') return view;
  throw fail('conflict', `the key ${row.id} is ${view.status}; only an active key can be ${what}: issue a new one`);
}

/** A key that was to end does not become one for ever by being rotated. */
function sameLifetime({ createdAt, expiresAt }: ApiKeyRow, now: number): string | null {
  return expiresAt && new Date(now + Math.max(1000, expiresAt.getTime() - createdAt.getTime())).toISOString();
}
