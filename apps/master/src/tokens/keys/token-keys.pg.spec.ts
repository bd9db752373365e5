import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { newSigningKeyPem, signerFromPem } from '#artifacts';
import { decodeIssuerRecord, issuerKey, TABLE } from '#model';
import { type MadeClient, newClient, onChain, tokenOf } from '../../testing/oauth.js';
import { type StartedApp, startApp, startBeside } from '../../testing/start-app.js';
import { TokenKeeper } from '../token-keeper.js';

let app: StartedApp;
let client: MadeClient;
let path: string;
let environments = 0;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app?.stop());
let environment: string;
beforeEach(async () => {
  environment = `env-${++environments}`;
  await app.call('POST', '/v1/environments', { id: environment, position: environments });
  client = await newClient(app, { environment });
  path = `/v1/environments/${environment}/token-keys`;
});
const others: StartedApp[] = [];
afterEach(async () => {
  for (const other of others.splice(0)) await other.stop();
});
async function another(config: Partial<StartedApp['config']> = {}): Promise<StartedApp> {
  const other = await startBeside({ ...app, config: { ...app.config, ...config } });
  others.push(other);
  return other;
}

const kidOf = (token: string): string => decodeProtectedHeader(token).kid ?? '';
const signedBy = async (by: StartedApp = app): Promise<string> => kidOf(await tokenOf(by, client));
const record = async () =>
  decodeIssuerRecord(
    (await onChain(app, TABLE.jwks, environment)).get(issuerKey('http://localhost:0').toString('hex')) ?? Buffer.of(),
  );
const kidsOnChain = async (): Promise<string[]> => sorted(...(await record()).keys.map(({ kid = '' }) => kid));
const sorted = (...kids: string[]): string[] => kids.toSorted((a, b) => (a < b ? -1 : 1));
const rotate = (body?: object) => app.call('POST', `${path}/rotate`, body);
const states = async (): Promise<string[]> =>
  (await app.call('GET', path)).body.items.map(({ state }: { state: string }) => state);
/** As if so many seconds had passed. */
const passed = (seconds: number): Promise<unknown> =>
  app.source.query(
    `UPDATE token_key SET signs_from = signs_from - $2 * interval '1 second', leaves_at = leaves_at - $2 * interval '1 second',
       created_at = created_at - $2 * interval '1 second' WHERE environment_id = $1`,
    [environment, seconds],
  );
const sweep = (by: StartedApp = app): Promise<void> => by.part(TokenKeeper).sweep();

describe('the first key of an environment', () => {
  it('comes in the revision of its first client: whoever knows the client knows the key', async () => {
    const rows: { revision: string }[] = await app.source.query(
      'SELECT DISTINCT revision FROM published_entry WHERE environment_id = $1 AND table_id IN ($2, $3)',
      [environment, TABLE.jwks, TABLE.client],
    );
    expect(rows).toHaveLength(1);
    expect(await kidsOnChain()).toEqual([await signedBy()]);
  });

  it('is one, however many clients are made at once by however many masters', async () => {
    await app.call('POST', '/v1/environments', { id: 'busy', position: 99 });
    const other = await another();
    await Promise.all([app, other, app, other].map((by) => newClient(by, { environment: 'busy' })));
    expect((await app.call('GET', '/v1/environments/busy/token-keys')).body.items).toHaveLength(1);
  });
});

describe('a rotation', () => {
  it('announces a key, signs by it later, and keeps the former one as long as its tokens', async () => {
    const token = await tokenOf(app, client);
    const first = kidOf(token);
    const { status, body: next } = await rotate();
    expect([status, next.state]).toEqual([201, 'announced']);
    expect(Math.abs(Date.parse(next.signsFrom) - Date.now() - 600_000)).toBeLessThan(30_000);
    expect([await kidsOnChain(), await signedBy(), await states()]).toEqual([
      sorted(first, next.kid),
      first,
      ['signing', 'announced'],
    ]);
    await passed(601);
    expect([await signedBy(), await states()]).toEqual([next.kid, ['leaving', 'signing']]);
    await passed(86_400 - 10); // a token of a day may have been signed by the former until a moment ago
    await sweep();
    await jwtVerify(token, createLocalJWKSet({ keys: (await record()).keys }));
    await passed(140);
    await sweep();
    await newClient(app, { environment }); // published after what the sweep has marked
    expect([await kidsOnChain(), await states()]).toEqual([[next.kid], ['signing']]);
  });

  it('is not begun while another is under way, but for an emergency', async () => {
    await rotate();
    const again = await rotate({});
    expect([again.status, again.body.code]).toEqual([409, 'conflict']);
    expect((await rotate({ emergency: true })).status).toBe(201);
  });

  it('is not begun while more keys are leaving than replicas should hold', async () => {
    const statuses = [];
    for (let i = 0; i < 16; i++) {
      statuses.push((await rotate()).status);
      await passed(601);
    }
    expect(statuses).toEqual([...Array<number>(15).fill(201), 409]);
    expect(await kidsOnChain()).toHaveLength(16);
    expect((await rotate({ emergency: true })).status).toBe(201);
  });

  it('in an emergency drops the former ones at once, and signs by the new one', async () => {
    const token = await tokenOf(app, client);
    await rotate();
    const { body, headers } = await rotate({ emergency: true });
    expect(headers.get('heliograph-revision')).toMatch(/@\d+$/);
    expect([await kidsOnChain(), await signedBy(), body.state]).toEqual([[body.kid], body.kid, 'signing']);
    await expect(jwtVerify(token, createLocalJWKSet({ keys: (await record()).keys }))).rejects.toThrow(
      /no applicable key/,
    );
    const [line] = (await app.call('GET', '/v1/audit?action=token-key.replace&limit=1')).body.items;
    expect([line.target, line.before.keys.length]).toEqual([`environment/${environment}`, 2]);
  });

  it('comes by itself after thirty days, once, however many masters look', async () => {
    const other = await another();
    await passed(30 * 86_400 - 60);
    await Promise.all([sweep(), sweep(other)]);
    expect(await states()).toEqual(['signing']);
    await passed(61);
    await Promise.all([sweep(), sweep(other), sweep(), sweep(other)]);
    expect(await states()).toEqual(['signing', 'announced']);
  });

  it('is for operators; others may look', async () => {
    const made = async (role: string) => (await app.call('POST', '/v1/access-tokens', { name: role, role })).body.token;
    const publisher = { authorization: `Bearer ${await made('publisher')}` };
    expect((await app.call('POST', `${path}/rotate`, {}, publisher)).status).toBe(403);
    expect((await app.call('GET', path, undefined, publisher)).status).toBe(200);
    expect((await app.call('POST', '/v1/environments/nowhere/token-keys/rotate')).status).toBe(404);
    expect((await app.call('GET', '/v1/environments/nowhere/token-keys')).status).toBe(404);
  });
});

describe('a master with another signing key', () => {
  it('cannot open the key, makes one of its own, and signs once a revision carries it; the other master goes on', async () => {
    const first = await signedBy();
    const other = await another({ signer: signerFromPem(newSigningKeyPem()) });
    const kids = await Promise.all(Array.from({ length: 5 }, () => signedBy(other)));
    expect(new Set(kids).size).toBe(1);
    const [second = ''] = kids;
    expect(second).not.toBe(first);
    expect(await kidsOnChain()).toEqual(sorted(first, second));
    expect([await signedBy(), await signedBy(other)]).toEqual([first, second]);
    await passed(31 * 86_400);
    await sweep();
    expect((await states()).filter((state) => state === 'announced')).toHaveLength(1);
    const leaving = await app.source.query(
      'SELECT kid FROM token_key WHERE environment_id = $1 AND leaves_at IS NOT NULL',
      [environment],
    );
    expect(sorted(...leaving.map(({ kid }: { kid: string }) => kid))).toEqual(sorted(first, second));
  });

  it('as much as one that finds the key damaged', async () => {
    const first = await signedBy();
    await app.source.query('UPDATE token_key SET sealed = $2 WHERE environment_id = $1', [
      environment,
      Buffer.alloc(100),
    ]);
    const other = await another();
    const second = await signedBy(other);
    expect(second).not.toBe(first);
    expect(await kidsOnChain()).toEqual(sorted(first, second));
  });
});

describe('tokens that were revoked', () => {
  it('are forgotten once nobody could use them, by whichever master looks, and not before', async () => {
    const other = await another();
    const revoke = (jti: string) => app.call('POST', `/v1/environments/${environment}/revoked-tokens`, { jti });
    for (const jti of ['gone-1', 'gone-2', 'stays']) await revoke(jti);
    const ids = [...(await onChain(app, TABLE.revoked_token, environment)).keys()];
    expect(ids).toHaveLength(3);
    await app.source.query(
      `INSERT INTO revoked_token (environment_id, chain_id, expires_at)
       SELECT $1, substring(sha256(n::text::bytea) FROM 1 FOR 16), now() - interval '1 hour' FROM generate_series(1, 2500) AS n`,
      [environment],
    );
    await app.source.query(
      `UPDATE revoked_token SET expires_at = now() - interval '60 seconds' WHERE environment_id = $1 AND expires_at > now()`,
      [environment],
    );
    await Promise.all([sweep(), sweep(other)]);
    const left = (): Promise<{ n: string }[]> =>
      app.source.query('SELECT count(*) AS n FROM revoked_token WHERE environment_id = $1', [environment]);
    expect(await left()).toEqual([{ n: '3' }]); // a gateway's clock may be a minute behind
    await revoke('stays');
    await app.source.query(
      `UPDATE revoked_token SET expires_at = now() - interval '3 minutes' WHERE environment_id = $1 AND expires_at < now()`,
      [environment],
    );
    await Promise.all([sweep(), sweep(other)]);
    expect(await left()).toEqual([{ n: '1' }]);
    await newClient(app, { environment }); // published after what the sweep has marked
    expect((await onChain(app, TABLE.revoked_token, environment)).size).toBe(1);
  });
});
