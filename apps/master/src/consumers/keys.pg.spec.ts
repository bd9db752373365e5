import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { decodeKeyRecord, type KeyRecord, TABLE } from '#model';
import { as, auditOf, good, outcome } from '../testing/answers.js';
import { type CallAnswer, type StartedApp, startApp, startBeside } from '../testing/start-app.js';
import { KeySweep, REMEMBERED_DAYS } from './key-sweep.js';

let app: StartedApp;
let application: string;
let path: string;
beforeAll(async () => {
  app = await startApp();
  await good(app.call('POST', '/v1/environments', { id: 'prod', position: 1 }));
});
afterAll(() => app?.stop());
beforeEach(async () => {
  application = (await good(app.call('POST', '/v1/applications', { name: 'shop' }))).id;
  path = `/v1/applications/${application}/keys`;
});

const issue = (fields: object = {}): Promise<CallAnswer['body']> =>
  good(app.call('POST', path, { environment: 'prod', ...fields }));
const change = (id: string, body: object, ifMatch = '*'): Promise<CallAnswer> =>
  app.call('PATCH', `${path}/${id}`, body, { 'if-match': ifMatch });

/** What the chain says of a key; null: nothing. */
async function onChain(id: string): Promise<KeyRecord | null> {
  const [row]: { value: Buffer }[] = await app.source.query(
    `SELECT p.value FROM published_entry p JOIN api_key k ON k.environment_id = p.environment_id AND k.chain_id = p.key
     WHERE k.id = $1 AND p.table_id = ${TABLE.key}`,
    [id],
  );
  return row ? decodeKeyRecord(row.value) : null;
}

async function applicationIsOnChain(): Promise<boolean> {
  const rows: unknown[] = await app.source.query(
    `SELECT FROM published_entry WHERE table_id = ${TABLE.application} AND key = decode(replace($1, '-', ''), 'hex')`,
    [application],
  );
  return rows.length > 0;
}

describe('scopes and addresses of a key', () => {
  it('are shown, are on the chain with the revision of the answer, and are noted', async () => {
    const key = await issue({ scopes: ['orders:write', 'orders:read'], ips: ['192.0.2.0/24', '2001:db8::1'] });
    const bounds = { scopes: ['orders:read', 'orders:write'], ips: ['192.0.2.0/24', '2001:db8::1'] };
    expect(key).toMatchObject(bounds);
    expect(await good(app.call('GET', `${path}/${key.id}`))).toMatchObject(bounds);
    expect(await onChain(key.id)).toMatchObject(bounds);
    expect(await auditOf(app, `key/${key.id}`)).toMatchObject([{ action: 'key.issue', after: bounds }]);
    const plain = await issue();
    expect(plain).toMatchObject({ scopes: [], ips: null });
    expect(await onChain(plain.id)).toEqual({ application, revoked: false, expiresAt: null });
  });

  it('are issued the same by themselves as together with others', async () => {
    const fields = { environment: 'prod', scopes: ['b', 'a'], ips: ['10.0.0.0/8'] };
    const alone = await good(app.call('POST', path, fields, { 'idempotency-key': `alone-${application}` }));
    expect(await onChain(alone.id)).toEqual(await onChain((await issue(fields)).id));
  });

  it('are refused with the fault named', async () => {
    const refused = (fields: object) => outcome(app.call('POST', path, { environment: 'prod', ...fields }));
    expect(await refused({ scopes: ['two words'] })).toBe('400 invalid_request scopes[0]');
    expect(await refused({ scopes: ['a', 'a'] })).toBe('400 invalid_request scopes');
    expect(await refused({ scopes: Array.from({ length: 65 }, (_, n) => `s${n}`) })).toBe('400 invalid_request scopes');
    expect(await refused({ ips: [] })).toBe('400 invalid_request ips');
    expect(await refused({ ips: ['10.0.0.0/33'] })).toBe('400 invalid_request ips[0]');
    expect(await refused({ ips: ['fe80::1%eth0'] })).toBe('400 invalid_request ips[0]');
  });
});

describe('a change of a key', () => {
  it('replaces what it names and leaves the rest, under If-Match', async () => {
    const key = await issue({ name: 'ci', scopes: ['a'], ips: ['10.0.0.0/8'], expiresAt: '2040-01-01T00:00:00Z' });
    expect(await outcome(app.call('PATCH', `${path}/${key.id}`, { scopes: ['b'] }))).toBe('428 precondition_required');
    const changed = await change(key.id, { scopes: ['b'] }, '"1"');
    expect(changed.status).toBe(200);
    expect(changed.headers.get('heliograph-revision')).toMatch(/^prod@\d+$/);
    expect(changed.body).toMatchObject({ name: 'ci', scopes: ['b'], ips: ['10.0.0.0/8'] });
    expect(await outcome(change(key.id, { scopes: ['c'] }, '"1"'))).toBe('412 precondition_failed');
    const bare = await good(change(key.id, { name: null, scopes: [], ips: null, expiresAt: null }));
    expect(bare).toMatchObject({ name: null, scopes: [], ips: null, expiresAt: null });
    expect(await onChain(key.id)).toEqual({ application, revoked: false, expiresAt: null });
    const [, audited] = await auditOf(app, `key/${key.id}`);
    expect(audited).toMatchObject({ action: 'key.update', before: { scopes: ['a'] }, after: { scopes: ['b'] } });
  });

  it('brings no key back that works no more, and is for who may write', async () => {
    const key = await issue();
    await good(app.call('POST', `${path}/${key.id}/revoke`));
    expect(await outcome(change(key.id, { expiresAt: null }))).toBe('409 conflict');
    const expired = await issue();
    await app.source.query(`UPDATE api_key SET expires_at = now() - interval '1 second' WHERE id = $1`, [expired.id]);
    expect(await outcome(change(expired.id, { expiresAt: null }))).toBe('409 conflict');
    const viewer = await as(app, 'viewer');
    expect(await outcome(viewer('PATCH', `${path}/${key.id}`, {}, { 'if-match': '*' }))).toBe('403 forbidden');
  });
});

describe('a successor', () => {
  it('has the name, scopes and addresses of the old key', async () => {
    const fields = { name: 'ci', scopes: ['a'], ips: ['10.0.0.0/8'] };
    const old = await issue(fields);
    const next = await good(app.call('POST', `${path}/${old.id}/rotate`));
    expect(next).toMatchObject({ ...fields, expiresAt: null });
    expect(await onChain(next.id)).toMatchObject({ scopes: ['a'], ips: ['10.0.0.0/8'] });
  });

  it('of a key that was to end ends as long after its own issue, unless it is told otherwise', async () => {
    const in90Days = new Date(Date.now() + 90 * 86_400_000).toISOString();
    const rotated = async (body?: object): Promise<string | null> => {
      const { id } = await issue({ expiresAt: in90Days });
      await app.source.query(`UPDATE api_key SET created_at = now() - interval '10 days' WHERE id = $1`, [id]);
      return (await good(app.call('POST', `${path}/${id}/rotate`, body))).expiresAt;
    };
    expect(Math.abs(Date.parse((await rotated()) ?? '') - Date.now() - 100 * 86_400_000)).toBeLessThan(60_000);
    expect(await rotated({ expiresAt: null })).toBeNull();
    expect(await rotated({ expiresAt: '2040-01-01T00:00:00Z' })).toBe('2040-01-01T00:00:00.000Z');
  });

  it('does not give an old key more time, and an old key that is given more is not rotated twice', async () => {
    const old = await issue({ expiresAt: new Date(Date.now() + 60_000).toISOString() });
    await good(app.call('POST', `${path}/${old.id}/rotate`, { overlapSeconds: 3600 }));
    expect((await good(app.call('GET', `${path}/${old.id}`))).expiresAt).toBe(old.expiresAt);
    await good(change(old.id, { expiresAt: '2040-01-01T00:00:00Z' }));
    expect(await outcome(app.call('POST', `${path}/${old.id}/rotate`))).toBe('409 conflict');
  });
});

describe('a key that has ended', () => {
  /** Moves the end of a key into the past. */
  const ended = (id: string, column: 'revoked_at' | 'expires_at', days: number) =>
    app.source.query(`UPDATE api_key SET ${column} = now() - make_interval(days => $2) WHERE id = $1`, [id, days]);

  it('leaves the chain after some days, with its application when that has no other; its row stays', async () => {
    const [revoked, expired] = [await issue(), await issue()];
    await ended(revoked.id, 'revoked_at', REMEMBERED_DAYS + 1);
    await ended(expired.id, 'expires_at', REMEMBERED_DAYS + 1);
    const sweep = app.part(KeySweep);
    await sweep.sweep();
    expect([await onChain(revoked.id), await onChain(expired.id)]).toEqual([null, null]);
    expect(await applicationIsOnChain()).toBe(false);
    expect((await good(app.call('GET', path))).items).toMatchObject([{ status: 'revoked' }, { status: 'expired' }]);
    const [line] = await app.source.query(`SELECT after FROM audit WHERE action = 'key.forget' ORDER BY id DESC`);
    expect(new Set(line.after.ids)).toEqual(new Set([revoked.id, expired.id]));
    const again = await issue();
    expect([await onChain(again.id), await applicationIsOnChain()]).toMatchObject([{ revoked: false }, true]);
    await good(app.call('POST', `${path}/${expired.id}/revoke`));
    expect(await onChain(expired.id)).toBeNull();
  });

  it('is told from an unknown one until then', async () => {
    const [revoked, expired, works] = [await issue(), await issue(), await issue()];
    await ended(revoked.id, 'revoked_at', REMEMBERED_DAYS - 1);
    await ended(expired.id, 'expires_at', REMEMBERED_DAYS - 1);
    await app.part(KeySweep).sweep();
    for (const { id } of [revoked, expired, works]) expect(await onChain(id)).not.toBeNull();
  });

  it('is forgotten once by several masters that sweep at once, in batches', async () => {
    const beside = await startBeside(app);
    try {
      const rows = 2500;
      await app.source.query(
        `INSERT INTO api_key (id, application_id, environment_id, hash, revoked_at, created_by)
         SELECT gen_random_uuid(), $1, 'prod', sha256(convert_to('forgotten ' || n, 'UTF8')), now() - interval '1 year', 'test'
         FROM generate_series(1, ${rows}) AS n`,
        [application],
      );
      await Promise.all([app.part(KeySweep).sweep(), beside.part(KeySweep).sweep()]);
      const [left] = await app.source.query(
        `SELECT count(*)::int AS keys FROM api_key WHERE forgotten_at IS NULL AND revoked_at < now() - interval '8 days'`,
      );
      expect(left.keys).toBe(0);
      const [lines] = await app.source.query(
        `SELECT sum(jsonb_array_length(after -> 'ids'))::int AS keys, max(jsonb_array_length(after -> 'ids')) AS most
         FROM audit WHERE action = 'key.forget' AND jsonb_array_length(after -> 'ids') > 2`,
      );
      expect(lines).toEqual({ keys: rows, most: 1000 });
    } finally {
      await beside.stop();
    }
  });
});

describe('a key that was found by a scanner', () => {
  const report = (body: object) => app.call('POST', '/v1/leaked-keys', body);

  it('is told whose it is and revoked, wherever it works, and its text is kept nowhere', async () => {
    const key = await issue({ name: 'ci' });
    expect(await good(report({ key: key.secret, revoke: false }))).toMatchObject({
      wellFormed: true,
      keys: [{ id: key.id, application, environment: 'prod', name: 'ci', status: 'active' }],
    });
    const answer = await report({ key: key.secret });
    expect(answer.headers.get('heliograph-revision')).toMatch(/^prod@\d+$/);
    expect(answer.body.keys).toMatchObject([{ id: key.id, status: 'revoked', revokedReason: 'leaked' }]);
    expect(await onChain(key.id)).toMatchObject({ revoked: true });
    expect((await good(report({ key: key.secret }))).keys).toEqual(answer.body.keys);
    const rows = await app.source.query('SELECT before, after, target FROM audit');
    expect(JSON.stringify(rows)).not.toContain(key.secret);
  });

  it('that nobody has is told from one that is none', async () => {
    const { secret } = await issue();
    const flipped = secret.replace(/.$/, (last: string) => (last === '0' ? '1' : '0'));
    expect(await good(report({ key: flipped }))).toEqual({ wellFormed: false, keys: [], clients: [] });
    await good(app.call('DELETE', `/v1/applications/${application}`));
    expect(await good(report({ key: secret }))).toEqual({ wellFormed: true, keys: [], clients: [] });
    const publisher = await as(app, 'publisher');
    expect(await outcome(publisher('POST', '/v1/leaked-keys', { key: secret }))).toBe('403 forbidden');
  });
});
