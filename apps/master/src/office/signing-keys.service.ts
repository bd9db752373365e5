import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { keyIdOf } from '#artifacts';
import { fail, MOST_TRUSTED_KEYS, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import type { MasterConfig } from '../config/config.js';
import { CONFIG } from '../config/tokens.js';
import { type Answer, type Caller, created, noContent, ok } from '../http/request.js';
import { trustedKeysMark } from '../publishing/index.js';
import { Writes } from '../writes/writes.js';
import type { SigningKeyView } from './signing-keys.endpoints.js';

const MOST_NAMED = 100;

@Injectable()
export class SigningKeysService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(CONFIG) private readonly config: MasterConfig,
    private readonly writes: Writes,
  ) {}

  async list(): Promise<Answer<{ items: SigningKeyView[] }>> {
    return ok({ items: await this.read(this.source.manager) });
  }

  announce(caller: Caller, publicKey: string): Promise<Answer<SigningKeyView>> {
    return this.writes.run(caller, async (tx) => {
      const { manager } = tx;
      await manager.query(LOCK);
      const id = idOf(publicKey);
      const before = (await this.read(manager)).filter(({ state }) => state !== 'retired');
      if (before.some((key) => key.id === id)) return ok(await this.one(manager, id));
      if (before.length >= MOST_TRUSTED_KEYS)
        throw fail('conflict', `a chain can trust ${MOST_TRUSTED_KEYS} keys at the most; retire one first`);
      // from the first rotation on the chain says whom it trusts: those who sign it until now, too
      const keys = [publicKey, ...before.map((key) => key.publicKey)];
      await manager.query(ADD, [keys, keys.map(idOf), caller.actor]);
      tx.mark('all', trustedKeysMark);
      tx.audit({ action: 'signing-key.announce', target: `signing-key/${id}`, after: { publicKey } });
      return created(await this.one(manager, id), `/v1/signing-keys/${id}`);
    });
  }

  retire(caller: Caller, id: string, force: boolean): Promise<Answer<undefined>> {
    return this.writes.run(caller, async (tx) => {
      const { manager } = tx;
      await manager.query(LOCK);
      // a term that begins now waits, and then finds the key retired
      await manager.query('SELECT FROM chain ORDER BY environment_id FOR UPDATE');
      const keys = await this.read(manager);
      const key = keys.find((one) => one.id === id && one.state !== 'retired');
      if (!key) throw fail('not_found', `there is no signing key "${id}"`);
      if (key.signs.length > 0)
        throw fail(
          'in_use',
          `${key.signs.join(', ')} is signed with the key ${id}: start the masters with another one first`,
        );
      if (key.publicKey === this.config.signer.publicKey)
        throw fail('in_use', `this master has the key ${id}: start it with another one first`);
      if (key.waitsFor.length > 0 && !force)
        throw fail('in_use', `the present set of keys has not been applied by ${key.waitsFor.join(', ')}`);
      const retired: [unknown, number] = await manager.query(
        'UPDATE signing_key SET retired_at = now(), retired_by = $2 WHERE key_id = $1 AND retired_at IS NULL',
        [id, caller.actor],
      );
      if (retired[1] === 0) throw fail('in_use', `the key ${id} is the only one: announce another one first`);
      tx.mark('all', trustedKeysMark);
      tx.audit({ action: 'signing-key.retire', target: `signing-key/${id}`, before: { publicKey: key.publicKey } });
      return noContent();
    });
  }

  private async one(manager: EntityManager, id: string): Promise<SigningKeyView> {
    const key = (await this.read(manager)).find((one) => one.id === id);
    if (!key) throw fail('not_found', `there is no signing key "${id}"`);
    return key;
  }

  /** Before the first rotation: the keys that chains have begun with, or the one of this master. */
  private async read(manager: EntityManager): Promise<SigningKeyView[]> {
    const rows: Row[] = await manager.query(READ);
    const behind: { name: string }[] = await manager.query(BEHIND, [TRUSTED_KEYS_SETTING]);
    const own = this.config.signer.publicKey;
    const known = rows.length > 0 ? rows : [{ ...NEW, public_key: own }];
    return known.map((row) => {
      const waitsFor = row.retired_at || row.added_at === null ? [] : behind.map(({ name }) => name);
      const state = row.retired_at
        ? 'retired'
        : row.signs.length > 0
          ? 'signing'
          : waitsFor.length > 0
            ? 'announced'
            : 'trusted';
      return {
        id: idOf(row.public_key),
        publicKey: row.public_key,
        state,
        signs: row.signs,
        waitsFor,
        addedAt: row.added_at?.toISOString() ?? null,
        addedBy: row.added_by,
        retiredAt: row.retired_at?.toISOString() ?? null,
        retiredBy: row.retired_by,
      };
    });
  }
}

interface Row {
  public_key: string;
  added_at: Date | null;
  added_by: string | null;
  retired_at: Date | null;
  retired_by: string | null;
  signs: string[];
}
const NEW: Omit<Row, 'public_key'> = { added_at: null, added_by: null, retired_at: null, retired_by: null, signs: [] };

/** Announcing and retiring come one after the other, and neither while an environment is made. */
const LOCK = 'LOCK TABLE signing_key IN SHARE ROW EXCLUSIVE MODE';
const ADD = `
  INSERT INTO signing_key (public_key, key_id, added_by) SELECT k.public_key, k.key_id, $3 FROM unnest($1::text[], $2::text[]) AS k (public_key, key_id)
  ON CONFLICT (public_key) DO UPDATE SET added_at = now(), added_by = excluded.added_by, retired_at = NULL, retired_by = NULL
  WHERE signing_key.retired_at IS NOT NULL`;
const READ = `
  SELECT coalesce(k.public_key, c.public_key) AS public_key, k.added_at, k.added_by, k.retired_at, k.retired_by,
         coalesce(array_agg(c.environment_id ORDER BY c.environment_id) FILTER (WHERE c.environment_id IS NOT NULL), '{}') AS signs
  FROM signing_key k FULL JOIN (SELECT c.* FROM chain c JOIN environment e ON e.id = c.environment_id WHERE c.public_key IS NOT NULL) AS c
    ON c.public_key = k.public_key
  GROUP BY 1, 2, 3, 4, 5 ORDER BY k.added_at NULLS FIRST, 1`;
/** Chains that do not say the present set yet, and replicas that have not applied it, or never said that they did. */
const BEHIND = `
  SELECT e.id AS name FROM environment e
  WHERE EXISTS (SELECT FROM outbox o WHERE o.environment_id = e.id AND o.table_id = ${TABLE.setting} AND o.key = $1)
    OR NOT EXISTS (SELECT FROM published_entry p WHERE p.environment_id = e.id AND p.table_id = ${TABLE.setting} AND p.key = $1)
  UNION ALL
  SELECT e.id || '/' || r.id FROM replica r JOIN region g ON g.id = r.region_id JOIN environment e ON e.id = g.environment_id
  JOIN published_entry p ON p.environment_id = e.id AND p.table_id = ${TABLE.setting} AND p.key = $1
  WHERE coalesce(r.revision, 0) < p.revision
  ORDER BY 1 LIMIT ${MOST_NAMED}`;

function idOf(publicKey: string): string {
  return keyIdOf(Buffer.from(publicKey, 'base64')).toString('hex');
}
