import { randomUUID } from 'node:crypto';
import { fail, KEY_ID_BYTES, newKeySecret, secretHash, TABLE } from '#model';
import { ApiKeyRow } from '../database/entities.js';
import { credentialEvent, type NewEvent } from '../events/event-kinds.js';
import { type Answer, type Caller, created } from '../http/request.js';
import { type Entry, keyMark } from '../publishing/index.js';
import { flushing, type WriteTx, XID } from '../writes/write-tx.js';
import type { OnlyStatement, Shared, Together } from '../writes/writes.js';
import { noSuchApplication } from './applications.service.js';
import { endOf, type IssuedKeyView, type KeyView } from './keys.endpoints.js';
import { keyViewOf } from './key-view.js';

const HINT_LENGTH = 'hg_live_'.length + 4;

export interface KeyFields {
  application: string;
  environment: string;
  name?: string | null;
  expiresAt?: string | null;
  scopes?: string[];
  ips?: string[] | null;
}

/**
 * Issues those keys whose application and environment exist, where nobody changes the application at the moment: an
 * application that is locked must not hold up the keys of others.
 */
export async function issueTogether(
  query: OnlyStatement,
  requests: readonly Shared<KeyFields>[],
): Promise<Together<IssuedKeyView>> {
  const made = requests.map(({ caller, item }) => ({ caller, ...newKey(caller, item) }));
  const asked = made.map(({ caller, key }) => {
    const { createdAt: _, ...after } = keyViewOf({ ...key, createdAt: UNKNOWN });
    const { actor, role, requestId: request_id } = caller;
    return { ...after, hash: key.hash.toString('hex'), actor, role, request_id, after, event: issuedEvent(after) };
  });
  const rows = await query<{ id: string; created_at: string; xid: string }>(ISSUE, [JSON.stringify(asked)]);
  const inserted = new Map(rows.map((row) => [row.id, new Date(row.created_at)]));
  const marked: Entry[] = [];
  const answers = made.map(({ key, secret }) => {
    const createdAt = inserted.get(key.id);
    if (!createdAt) return null;
    marked.push(markOf(key));
    return answerOf({ ...keyViewOf({ ...key, createdAt }), secret });
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
        AS a (id uuid, application uuid, environment text, hash text, hint text, name text, scopes text[], ips text[], "expiresAt" timestamptz, "createdBy" text,
              actor text, role text, request_id text, after jsonb, event jsonb)
    ), held AS (
      SELECT id FROM application WHERE id IN (SELECT application FROM asked) FOR SHARE SKIP LOCKED
    ), inserted AS (
      INSERT INTO api_key (id, application_id, environment_id, hash, hint, name, scopes, ips, expires_at, created_by)
      SELECT a.id, a.application, a.environment, decode(a.hash, 'hex'), a.hint, a.name, nullif(a.scopes, '{}'), a.ips, a."expiresAt", a."createdBy"
      FROM asked a JOIN held h ON h.id = a.application JOIN environment e ON e.id = a.environment
      RETURNING id, environment_id, chain_id,
        to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at
    ), ${flushing(
      `SELECT environment_id, ${TABLE.key}, chain_id FROM inserted`,
      `SELECT a.actor, a.role, 'key.issue', 'key/' || id, NULL::jsonb, a.after || jsonb_build_object('createdAt', i.created_at), a.request_id
       FROM asked a JOIN inserted i USING (id)`,
      `SELECT a.event->>'type', a.event->>'subject', a.environment, a.actor, a.event->'data' FROM asked a JOIN inserted USING (id)`,
    )}
    SELECT id, created_at, ${XID} AS xid FROM inserted`,
};

/** Waits for whoever changes the application, and says what is wrong. */
export async function issueAlone(tx: WriteTx, fields: KeyFields): Promise<Answer<IssuedKeyView>> {
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

/** As they are kept: in one order, so that the same scopes are the same bytes on the chain; null: none. */
export function scopesOf(scopes: readonly string[] | undefined): string[] | null {
  return scopes?.length ? scopes.toSorted() : null;
}

function newKey(caller: Caller, fields: KeyFields): { key: NewKey; secret: string } {
  const secret = newKeySecret();
  const key = {
    id: randomUUID(),
    application: fields.application,
    environment: fields.environment,
    hash: secretHash(secret),
    hint: secret.slice(0, HINT_LENGTH),
    name: fields.name ?? null,
    scopes: scopesOf(fields.scopes),
    ips: fields.ips ?? null,
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
export async function insertSecret(tx: WriteTx, fields: KeyFields): Promise<IssuedKeyView> {
  const { key, secret } = newKey(tx.caller, fields);
  const { generatedMaps } = await tx.manager.insert(ApiKeyRow, key);
  return issued(tx, key, (generatedMaps[0] as { createdAt: Date }).createdAt, secret);
}

/** Marks and notes a key that was inserted. */
function issued(tx: WriteTx, key: NewKey, createdAt: Date, secret: string): IssuedKeyView {
  const { id, environment } = key;
  const view = keyViewOf({ ...key, createdAt });
  tx.mark([environment], markOf(key));
  tx.audit({ action: 'key.issue', target: `key/${id}`, after: view });
  tx.event(issuedEvent(view));
  return { ...view, secret };
}

const issuedEvent = (view: Omit<KeyView, 'createdAt'>): NewEvent => credentialEvent('credential.issued', 'key', view);

/** As ISSUE makes it. */
function markOf({ hash }: NewKey): Entry {
  return keyMark(hash.subarray(0, KEY_ID_BYTES));
}

export function answerOf(key: IssuedKeyView): Answer<IssuedKeyView> {
  return created(key, `/v1/applications/${key.application}/keys/${key.id}`, '1');
}
