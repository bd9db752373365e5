import { hash } from 'node:crypto';
import type pg from 'pg';
import { expect } from 'vitest';
import {
  type ChainPosition,
  GENESIS_HASH,
  opsOf,
  positionAfter,
  StateRoot,
  TrustedKeys,
  verifyRevision,
} from '#artifacts';
import {
  applicationKey,
  decodeTrustedKeys,
  encodeJson,
  encodeKeyRecord,
  encodeText,
  placementKey,
  TABLE,
  TRUSTED_KEYS_SETTING,
  type Op,
} from '#model';
import { referencesOf } from '../publishing/references.js';
import { signer } from './publishing-master.js';

/** Entries of a chain: table and key -> value, in hexadecimal, or its SHA-256 where that is shorter by far. */
export type Entries = Map<string, string>;

export interface AuditedRevision {
  revision: number;
  epoch: number;
  ops: Op[];
  xids: string[];
  bytes: Buffer;
}

export interface AuditedChain {
  revisions: AuditedRevision[];
  entries: Entries;
}

const shown = (value: Buffer): string =>
  value.length < 1000 ? value.toString('hex') : `sha256 ${hash('sha256', value)}`;
const nameOf = (table: number, key: Buffer): string => `${table}:${key.toString('hex')}`;

/**
 * Reads a chain as a replica would, from revision 1 on, and checks it more strictly: numbers without a gap, signatures,
 * hashes, at every revision the state root computed anew, and that everything referred to is there.
 */
export async function auditChain(pool: pg.Pool, environment = 'prod'): Promise<AuditedChain> {
  const { rows } = await pool.query<{ revision: string; bytes: Buffer; xids: string[] }>(
    'SELECT revision, bytes, xids FROM revision WHERE environment_id = $1 ORDER BY revision',
    [environment],
  );
  let trusted = new TrustedKeys([signer.publicKey]);
  const values = new Map<string, Buffer>();
  const root = StateRoot.empty();
  let position: ChainPosition = { environment, epoch: 0, revision: 0, hash: GENESIS_HASH };
  const revisions = rows.map(({ revision, bytes, xids }, index): AuditedRevision => {
    expect(Number(revision)).toBe(index + 1);
    const verified = verifyRevision(bytes, position, trusted);
    const ops = opsOf(verified);
    const setting = ops.find(({ table, key }) => table === TABLE.setting && key.equals(TRUSTED_KEYS_SETTING));
    const keys = setting?.value && decodeTrustedKeys(setting.value);
    for (const { table, key, value } of ops) {
      const name = nameOf(table, key);
      const before = values.get(name) ?? null;
      if (before === value || (before && value?.equals(before)))
        expect.fail(`in revision ${revision} the op on ${name} changes nothing`);
      root.change(table, key, before, value);
      if (value) values.set(name, value);
      else values.delete(name);
    }
    expect(verified.header.root.equals(root.root()), `the state root of revision ${revision}`).toBe(true);
    expectClosed(values, revision);
    if (keys) trusted = new TrustedKeys(keys); // from the next revision on
    position = positionAfter(verified);
    return { revision: Number(revision), epoch: verified.header.epoch, ops, xids, bytes };
  });
  const entries: Entries = new Map([...values].map(([name, value]) => [name, shown(value)]));
  expect(await publishedEntries(pool, environment)).toEqual(entries);
  return { revisions, entries };
}

function expectClosed(values: Map<string, Buffer>, revision: string): void {
  const referred = new Set<string>();
  for (const [name, value] of values) {
    for (const { table, key } of referencesOf(Number(name.split(':')[0]), value)) {
      referred.add(nameOf(table, key));
      if (!values.has(nameOf(table, key)))
        expect.fail(`in revision ${revision} ${name} refers to ${nameOf(table, key)}, which is not there`);
    }
  }
  for (const name of values.keys()) {
    if (name.startsWith(`${TABLE.release}:`) && !referred.has(name))
      expect.fail(`in revision ${revision} nothing refers to the release ${name}`);
  }
}

async function publishedEntries(pool: pg.Pool, environment: string): Promise<Entries> {
  const { rows } = await pool.query<{ table_id: number; key: Buffer; value: Buffer }>(
    'SELECT table_id, key, value FROM published_entry WHERE environment_id = $1',
    [environment],
  );
  return new Map(rows.map(({ table_id: table, key, value }) => [nameOf(table, key), shown(value)]));
}

/** What the chain has to say for the rows that there are, told in the plainest way. */
export async function entriesOfRows(pool: pg.Pool, environment = 'prod'): Promise<Entries> {
  const entries: Entries = new Map();
  const put = (table: number, key: Buffer, value: Buffer): void => void entries.set(nameOf(table, key), shown(value));
  const all = async <T extends object>(sql: string): Promise<T[]> => (await pool.query<T>(sql)).rows;
  type Plan = { id: string; rate: unknown; quota: unknown; per_route: unknown; per_api: unknown };
  for (const { id, rate, quota, per_route: perRoute, per_api: perApi } of await all<Plan>('SELECT * FROM plan')) {
    const scopes = Object.entries({ perRoute, perApi }).filter(([, limits]) => limits !== null);
    put(TABLE.plan, encodeText(id), encodeJson({ rate, quota, ...Object.fromEntries(scopes) }));
  }
  const keys = (
    await all<{
      environment_id: string;
      application_id: string;
      hash: Buffer;
      revoked_at: Date | null;
      expires_at: Date | null;
      scopes: string[] | null;
      ips: string[] | null;
      forgotten_at: Date | null;
    }>('SELECT * FROM api_key')
  ).filter((key) => key.environment_id === environment && key.forgotten_at === null);
  for (const { application_id: application, hash, scopes, ips, ...ends } of keys) {
    const [revoked, expiresAt] = [ends.revoked_at !== null, ends.expires_at?.getTime() ?? null];
    const bounds = { scopes: scopes ?? undefined, ips: ips ?? undefined };
    put(TABLE.key, hash.subarray(0, 16), encodeKeyRecord({ application, revoked, expiresAt, ...bounds }));
  }
  const subscriptions = await all<{ id: string; application_id: string; api_id: string; plan_id: string }>(
    'SELECT * FROM subscription ORDER BY id::text',
  );
  for (const { id, name, status } of await all<{ id: string; name: string; status: string }>(
    'SELECT * FROM application',
  )) {
    if (!keys.some((key) => key.application_id === id)) continue;
    const own = subscriptions
      .filter((subscription) => subscription.application_id === id)
      .map(({ id: uuid, api_id: api, plan_id: plan }) => ({ id: uuid, api, plan }));
    put(
      TABLE.application,
      applicationKey(id),
      encodeJson({ name, ...(status === 'suspended' ? { suspended: true } : {}), subscriptions: own }),
    );
  }
  const releases = new Map(
    (await all<{ digest: Buffer; definition: Buffer }>('SELECT * FROM release')).map(({ digest, definition }) => [
      digest.toString('hex'),
      definition,
    ]),
  );
  for (const { environment_id: placed, api_id: api, region, digest } of await all<{
    environment_id: string;
    api_id: string;
    region: string;
    digest: Buffer;
  }>('SELECT * FROM placement')) {
    if (placed !== environment) continue;
    put(TABLE.placement, placementKey(api, region), digest);
    put(TABLE.release, digest, releases.get(digest.toString('hex')) ?? Buffer.alloc(0));
  }
  return entries;
}
