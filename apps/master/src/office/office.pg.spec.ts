import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { headName, newSigningKeyPem, sealHead, type Signer, signerFromPem } from '#artifacts';
import pg from 'pg';
import { until } from '#harness';
import { as, auditOf, good, outcome } from '../testing/answers.js';
import { lockOf } from '../publishing/office/office-lock.js';
import { type CallAnswer, type StartedApp, startApp, startBeside } from '../testing/start-app.js';

let app: StartedApp;
beforeEach(async () => {
  app = await startApp();
  await good(app.call('POST', '/v1/environments', { id: 'prod', position: 1 }));
  await good(app.call('POST', '/v1/plans', { id: 'gold', rate: { limit: 5, per: 'second' } }));
});
afterEach(() => app.stop());

const office = (): Promise<CallAnswer['body']> => good(app.call('GET', '/v1/environments/prod/office'));
const plan = (id: string): Promise<CallAnswer> => app.call('POST', '/v1/plans', { id });

/** A head of another master that has the same key. */
function putForeignHead(signer: Signer, epoch: number): void {
  const nothing = { environment: 'prod', revision: 0, hash: '00'.repeat(32), root: '00'.repeat(32), snapshot: null };
  mkdirSync(join(app.storeDirectory, 'prod'), { recursive: true });
  const bytes = sealHead({ ...nothing, epoch, issuedAt: 0, expiresAt: 1 }, signer);
  writeFileSync(join(app.storeDirectory, headName('prod')), bytes);
}

/** Another master takes the place of this one. */
async function replace(): Promise<void> {
  const { signer } = app.config;
  await until(async () => (await office()).state === 'publishing', { what: 'the first term' });
  // or its own writing, which reads, compares and then renames, might just be about to cover the foreign head up
  const environments = async (): Promise<CallAnswer['body'][]> => (await app.call('GET', '/readyz')).body.environments;
  const rests = ({ revision, storedRevision, store }: CallAnswer['body']): boolean =>
    revision > 0 && store?.state === 'ok' && storedRevision === revision;
  await until(async () => (await environments()).every(rests), { what: 'the store to have everything' });
  putForeignHead(signer, 9);
  await plan('silver'); // it finds out when it writes its head
  await until(async () => (await office()).state === 'fenced', { what: 'it to be fenced off' });
}

describe('a master that was replaced', () => {
  it('R10 refuses writes, answers reads, and says in all places by whom', async () => {
    await replace();
    const { status, body } = await plan('late');
    expect([status, body.code]).toEqual([503, 'fenced_off']);
    expect(body.detail).toMatch(
      /another master publishes "prod": epoch 9, revision 0, signed by the key [0-9a-f]{16}; nothing was written/,
    );
    expect((await good(app.call('GET', '/v1/plans'))).items.map(({ id }: { id: string }) => id)).not.toContain('late');
    const ready = await app.call('GET', '/readyz');
    // the decision has to get through a balancer that asks; writes are refused all the same
    expect(ready).toMatchObject({
      status: 200,
      body: { office: 'fenced_off', fencedOff: [{ environment: 'prod', reason: 'replaced', epoch: 9, revision: 0 }] },
    });
    expect((await app.call('GET', '/metrics')).body).toContain('heliograph_chain_fenced{environment="prod"} 1');
    expect(await office()).toMatchObject({ fence: { reason: 'replaced', epoch: 9 }, decision: null });
  });

  it('goes on when an operator decides for it: nobody below that role may, and it is in the audit log', async () => {
    await replace();
    const decide = '/v1/environments/prod/office';
    expect(await outcome((await as(app, 'publisher'))('POST', decide, { decision: 'adopt' }))).toBe('403 forbidden');
    expect(await outcome(app.call('POST', decide, { decision: 'proceed' }))).toBe('409 conflict');
    expect((await app.call('POST', decide, { decision: 'replace' })).body).toMatchObject({
      code: 'invalid_request',
      errors: [{ field: 'decision', problem: 'must be one of adopt, discard-theirs, proceed' }],
    });
    const operator = await as(app, 'operator');
    expect(await outcome(operator('POST', decide, { decision: 'discard-theirs' }))).toBe('202');
    await until(async () => (await plan('late')).status === 201, { what: 'it to take writes again' });
    expect(await office()).toMatchObject({ state: 'publishing', fence: null, decision: null });
    expect((await office()).epoch).toBeGreaterThan(9);
    expect((await app.call('GET', '/readyz')).status).toBe(200);
    expect(await auditOf(app, 'environment/prod')).toContainEqual({
      action: 'office.decide',
      actor: 'operator',
      before: expect.objectContaining({ fence: expect.objectContaining({ epoch: 9 }) }),
      after: { decision: 'discard-theirs' },
    });
  });

  it('takes writes again when what replaced it is gone', async () => {
    await replace();
    rmSync(join(app.storeDirectory, 'prod'), { recursive: true, maxRetries: 10 });
    await until(async () => (await plan('late')).status === 201, { what: 'it to take writes again' });
  });
});

describe('an office that nothing is wrong with', () => {
  it('is published as another master sees it, too', async () => {
    const beside = await startBeside(app);
    try {
      const said = async (): Promise<CallAnswer['body']> => good(beside.call('GET', '/v1/environments/prod/office'));
      await until(async () => (await said()).state === 'publishing', { what: 'the first term' });
      expect([app.config.instance, beside.config.instance]).toContain((await said()).leader);
    } finally {
      await beside.stop();
    }
  });

  it('is published as long as somebody holds it: the name in the row, as a dump has it, is not enough', async () => {
    // signed with another key, so that nobody here takes that office
    const { publicKey } = signerFromPem(newSigningKeyPem());
    await app.source.query(
      `INSERT INTO chain (environment_id, public_key, leader, epoch, entered_epoch) VALUES ('dev', $1, 'gone:1', 3, 3)`,
      [publicKey],
    );
    await good(app.call('POST', '/v1/environments', { id: 'dev', position: 0 }));
    const state = async (): Promise<string> => (await good(app.call('GET', '/v1/environments/dev/office'))).state;
    const ofStatus = async (): Promise<string> =>
      (await good(app.call('GET', '/v1/status?environment=dev'))).environments[0].state;
    expect([await state(), await ofStatus()]).toEqual(['waiting', 'waiting']);
    const holder = new pg.Client(app.config.DATABASE_URL);
    await holder.connect();
    await holder.query('SELECT pg_advisory_lock($1::bigint)', [lockOf('dev')]);
    expect([await state(), await ofStatus()]).toEqual(['publishing', 'publishing']);
    await app.source.query(`UPDATE chain SET epoch = 4 WHERE environment_id = 'dev'`); // a term that looks around first
    expect([await state(), await ofStatus()]).toEqual(['waiting', 'waiting']);
    await holder.end();
  });

  it('takes no decisions', async () => {
    await until(async () => (await office()).state === 'publishing', { what: 'the first term' });
    for (const decision of ['adopt', 'discard-theirs', 'proceed'])
      expect(await outcome(app.call('POST', '/v1/environments/prod/office', { decision }))).toBe('409 conflict');
    expect(await outcome(app.call('GET', '/v1/environments/none/office'))).toBe('404 not_found');
    expect(await good(app.call('GET', '/v1/restore-report'))).toEqual({ items: [], next: null });
  });
});

describe('the report of a restore', () => {
  it('names the access tokens, join tokens and replicas of before, which nothing says anything of', async () => {
    await good(app.call('POST', '/v1/regions', { id: 'eu-west', environment: 'prod' }));
    const join = await good(app.call('POST', '/v1/join-tokens', { region: 'eu-west', maxUses: 2 }));
    const body = { token: join.token, region: 'eu-west', environment: 'prod', build: '0.1.0', replica: 'eu-west-1' };
    await good(app.call('POST', '/v1/replicas/join', body, { authorization: '' }));
    const ci = await good(app.call('POST', '/v1/access-tokens', { name: 'ci', role: 'publisher' }));
    await app.source.query(
      `INSERT INTO restore (id, environment_id, source, from_revision, to_revision, theirs_epoch) VALUES (gen_random_uuid(), 'prod', 'test', 1, 2, 1)`,
    );
    await good(app.call('POST', '/v1/access-tokens', { name: 'later', role: 'publisher' }));
    const named = async (): Promise<string[]> =>
      (await good(app.call('GET', '/v1/restore-report'))).items[0].mayBeWithdrawn;
    const [bootstrap] = (await named()).filter((name) => name.endsWith(' bootstrap'));
    const rest = [`access-token/${ci.id} ci`, `join-token/${join.id}`, 'replica/eu-west-1'];
    expect(new Set(await named())).toEqual(new Set([bootstrap, ...rest]));
    expect(await outcome(app.call('DELETE', `/v1/access-tokens/${ci.id}`))).toBe('204');
    expect(await named()).not.toContain(rest[0]);
  });
});

describe('signing keys', () => {
  const next = signerFromPem(newSigningKeyPem());
  const keys = async (): Promise<CallAnswer['body'][]> => (await good(app.call('GET', '/v1/signing-keys'))).items;

  it('begin with the one that signs, and name the next one to every chain when it is announced', async () => {
    await until(async () => (await keys())[0]?.signs.length === 1, { what: 'the first term' });
    const [first] = await keys();
    expect(first).toMatchObject({ state: 'signing', signs: ['prod'], addedAt: null });
    const operator = await as(app, 'operator');
    const body = { publicKey: next.publicKey };
    expect(await outcome(operator('POST', '/v1/signing-keys', body))).toBe('403 forbidden');
    expect(await outcome(app.call('POST', '/v1/signing-keys', { publicKey: 'x' }))).toBe(
      '400 invalid_request publicKey',
    );
    expect(await outcome(app.call('POST', '/v1/signing-keys', body))).toBe('201');
    expect(await outcome(app.call('POST', '/v1/signing-keys', body))).toBe('200');
    await until(async () => (await keys()).some(({ state }) => state === 'trusted'), { what: 'the chain to trust it' });
    const { revision } = await good(app.call('GET', '/v1/environments/prod/head'));
    const { changes } = await good(app.call('GET', `/v1/environments/prod/revisions/${revision}`));
    expect(changes).toEqual([
      {
        op: 'put',
        table: 'setting',
        key: 'trusted-keys',
        value: { keys: expect.arrayContaining([first.publicKey, next.publicKey]) },
      },
    ]);
    expect(await outcome(app.call('DELETE', `/v1/signing-keys/${first.id}`))).toBe('409 in_use');
    expect(await outcome(app.call('DELETE', `/v1/signing-keys/${next.keyId.toString('hex')}`))).toBe('204');
    await until(async () => (await keys()).every(({ waitsFor }) => waitsFor.length === 0), {
      what: 'the chain to say so',
    });
    expect(new Set((await keys()).map(({ state }) => state))).toEqual(new Set(['retired', 'signing']));
    expect(await outcome(app.call('DELETE', `/v1/signing-keys/${next.keyId.toString('hex')}`))).toBe('404 not_found');
  });
});
