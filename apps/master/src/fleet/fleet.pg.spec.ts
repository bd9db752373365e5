import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ReplicaStatus } from '#model';
import { as, auditOf, good, outcome, pages, settle } from '../testing/answers.js';
import { type CallAnswer, type StartedApp, startApp } from '../testing/start-app.js';
import { statusOf } from '../testing/stream-client.js';

let app: StartedApp;
beforeAll(async () => {
  app = await startApp();
  await settle(app, { prod: ['eu-west', 'us-east'], dev: ['lab'] });
});
afterAll(() => app?.stop());

const newToken = async (fields: object = {}): Promise<string> =>
  (await good(app.call('POST', '/v1/join-tokens', { region: 'eu-west', ...fields }))).token;
const NOBODY = { authorization: '' };
const join = (token: unknown, fields: object = {}) =>
  app.call(
    'POST',
    '/v1/replicas/join',
    { token, region: 'eu-west', environment: 'prod', build: '0.1.0', ...fields },
    NOBODY,
  );
const report = (token: string, status: unknown) =>
  app.call('POST', '/v1/replicas/status', status, { authorization: `Bearer ${token}` });
const polling = { state: 'polling', source: 'store' } as const;
const detailOf = async (answer: Promise<CallAnswer>): Promise<string> => {
  const { status, body } = await answer;
  return `${status} ${body.code} ${body.detail}`;
};

describe('join tokens', () => {
  it('are shown once; lists and audit never have them', async () => {
    const made = await app.call('POST', '/v1/join-tokens', { region: 'eu-west', expiresInSeconds: 3600, maxUses: 2 });
    expect([made.status, made.headers.get('location')]).toEqual([201, `/v1/join-tokens/${made.body.id}`]);
    const { token, ...view } = made.body;
    expect(token).toMatch(/^hg_join_[0-9a-f]{40}$/);
    expect(view).toMatchObject({ region: 'eu-west', environment: 'prod', maxUses: 2, uses: 0, createdBy: 'bootstrap' });
    expect(Date.parse(view.expiresAt) - Date.parse(view.createdAt)).toBe(3_600_000);
    expect(await good(app.call('GET', `/v1/join-tokens/${view.id}`))).toEqual(view);
    for (const region of ['us-east', 'lab']) await newToken({ region });
    const listed = await pages(app, '/v1/join-tokens', 1);
    expect(listed.map((one) => one.region)).toEqual(['eu-west', 'lab', 'us-east']);
    expect(listed[0]).toEqual(view);
    expect((await pages(app, '/v1/join-tokens?environment=prod', 50)).map((one) => one.region)).toEqual([
      'eu-west',
      'us-east',
    ]);
    expect(await pages(app, '/v1/join-tokens?environment=dev&region=eu-west', 50)).toEqual([]);
    expect(await auditOf(app, `join-token/${view.id}`)).toEqual([
      { action: 'join-token.create', actor: 'bootstrap', before: null, after: view },
    ]);
    const [found]: { n: string }[] = await app.source.query(
      `SELECT count(*) AS n FROM audit a WHERE a::text LIKE '%' || $1 || '%'`,
      [token],
    );
    expect(found?.n).toBe('0');
  });

  it('are refused with each fault named', async () => {
    const send = (body: object) => outcome(app.call('POST', '/v1/join-tokens', body));
    expect(await send({ region: 'mars' })).toBe('422 unknown_reference region');
    expect(await send({ region: '*', expiresInSeconds: 59, maxUses: 0, uses: 1 })).toBe(
      '400 invalid_request region, expiresInSeconds, maxUses, uses',
    );
    expect(await send({ region: 'eu-west', expiresInSeconds: 2_592_001 })).toBe('400 invalid_request expiresInSeconds');
    expect(await outcome(app.call('GET', '/v1/join-tokens/1'))).toBe('400 invalid_request token');
    for (const role of ['viewer', 'publisher'] as const)
      expect(await outcome((await as(app, role))('GET', '/v1/join-tokens'))).toBe('403 forbidden');
    expect(await outcome((await as(app, 'operator'))('GET', '/v1/join-tokens'))).toBe('200');
  });

  it('can be withdrawn', async () => {
    const { id, token } = await good(app.call('POST', '/v1/join-tokens', { region: 'eu-west' }));
    expect(await outcome(app.call('DELETE', `/v1/join-tokens/${id}`))).toBe('204');
    expect(await outcome(app.call('DELETE', `/v1/join-tokens/${id}`))).toBe('404 not_found');
    expect(await detailOf(join(token))).toBe(
      '401 join_token_invalid there is no such join token; it may have been withdrawn',
    );
    expect(await auditOf(app, `join-token/${id}`)).toMatchObject([
      {},
      { action: 'join-token.delete', before: { region: 'eu-west' } },
    ]);
  });

  it('answer a repeated Idempotency-Key with the same token', async () => {
    const send = () => app.call('POST', '/v1/join-tokens', { region: 'eu-west' }, { 'idempotency-key': 'j1' });
    const [first, second] = [await send(), await send()];
    expect(second.body).toEqual(first.body);
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    const kept: { answer: Buffer }[] = await app.source.query('SELECT answer FROM idempotency');
    expect(kept.every(({ answer }) => !answer.includes(first.body.token))).toBe(true);
  });
});

describe('joining', () => {
  it('gives an id, a token, the keys to trust and the store, and needs no access token', async () => {
    const answer = await join(await newToken());
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({
      replica: 'eu-west-1',
      token: expect.stringMatching(/^hg_replica_[0-9a-f]{40}$/),
      environment: 'prod',
      region: 'eu-west',
      trustedKeys: [expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/)],
      store: `file://${app.storeDirectory}`,
    });
    expect((await good(join(await newToken()))).replica).toBe('eu-west-2');
    expect((await good(join(await newToken(), { replica: 'node-7.eu' }))).replica).toBe('node-7.eu');
    expect(await auditOf(app, 'replica/eu-west-1')).toMatchObject([
      { action: 'replica.join', actor: 'public', before: null, after: { region: 'eu-west', build: '0.1.0' } },
    ]);
  });

  it('with one token succeeds as often as the token says, however many try at the same time', async () => {
    for (const maxUses of [1, 3]) {
      const token = await newToken({ maxUses });
      const answers = await Promise.all(Array.from({ length: 10 }, () => join(token)));
      const won = answers.filter((answer) => answer.status === 201);
      expect(won).toHaveLength(maxUses);
      expect(new Set(won.map((answer) => answer.body.replica)).size).toBe(maxUses);
      expect(answers.filter((answer) => answer.body.code === 'join_token_invalid')).toHaveLength(10 - maxUses);
      expect(await detailOf(join(token))).toBe(
        `401 join_token_invalid the join token has been used ${maxUses} of ${maxUses} times`,
      );
    }
  });

  it('is refused for another region or environment, an expired token and a guessed one, and counts no use', async () => {
    const { id, token } = await good(app.call('POST', '/v1/join-tokens', { region: 'eu-west' }));
    expect(await detailOf(join(token, { region: 'us-east' }))).toBe(
      '401 join_token_invalid the join token is not for the region "us-east" of the environment "prod"',
    );
    expect(await detailOf(join(token, { environment: 'dev' }))).toBe(
      '401 join_token_invalid the join token is not for the region "eu-west" of the environment "dev"',
    );
    expect(await detailOf(join(token, { region: 'mars' }))).toMatch(
      /^401 join_token_invalid the join token is not for the region "mars"/,
    );
    for (const guess of [`${token}0`, `hg_join_${'0'.repeat(40)}`, app.admin]) {
      expect(await detailOf(join(guess))).toBe(
        '401 join_token_invalid there is no such join token; it may have been withdrawn',
      );
    }
    await app.source.query(`UPDATE join_token SET expires_at = now() WHERE id = $1`, [id]);
    expect(await detailOf(join(token))).toMatch(/^401 join_token_invalid the join token expired at 20.*Z$/);
    expect((await good(app.call('GET', `/v1/join-tokens/${id}`))).uses).toBe(0);
  });

  it('again keeps the id and replaces the token, in the same region only', async () => {
    const first = await good(join(await newToken(), { replica: 'again' }));
    await good(report(first.token, statusOf(first, polling)));
    // whoever has a join token must not take the place of one that runs
    expect(await detailOf(join(await newToken(), { replica: 'again' }))).toMatch(/^409 conflict .*has reported within/);
    await app.source.query(`UPDATE replica SET reported_at = now() - interval '1 minute' WHERE id = 'again'`);
    const second = await good(join(await newToken(), { replica: 'again', build: '0.2.0' }));
    expect(second.token).not.toBe(first.token);
    expect(await outcome(report(first.token, statusOf(first, polling)))).toBe('401 unauthenticated');
    expect(await good(app.call('GET', '/v1/replicas/again'))).toMatchObject({
      build: '0.2.0',
      state: null,
      reportedAt: null,
      status: null,
    });
    await good(report(second.token, statusOf(second, polling)));
    const { id, token } = await good(app.call('POST', '/v1/join-tokens', { region: 'us-east' }));
    expect(await detailOf(join(token, { region: 'us-east', replica: 'again' }))).toBe(
      '409 conflict a replica "again" exists already in the region "eu-west"',
    );
    expect((await good(app.call('GET', `/v1/join-tokens/${id}`))).uses).toBe(0);
    expect((await good(join(token, { region: 'us-east' }))).replica).toBe('us-east-1');
  });

  it('is answered the same again under the same Idempotency-Key, and spends the token once', async () => {
    const { id, token } = await good(app.call('POST', '/v1/join-tokens', { region: 'eu-west' }));
    const body = { token, region: 'eu-west', environment: 'prod', build: '0.1.0' };
    const headers = { authorization: '', 'idempotency-key': 'lost-answer' };
    const first = await good(app.call('POST', '/v1/replicas/join', body, headers));
    expect(await good(app.call('POST', '/v1/replicas/join', body, headers))).toEqual(first);
    expect((await good(app.call('GET', `/v1/join-tokens/${id}`))).uses).toBe(1);
    // without the join token the key opens nothing
    expect(await outcome(app.call('POST', '/v1/replicas/join', { ...body, token: 'x' }, headers))).toMatch(/^401/);
  });

  it('is refused with each fault named', async () => {
    expect(await outcome(join(undefined, { build: undefined }))).toBe('400 invalid_request token, build');
    expect(await outcome(join('', { region: 'EU', replica: 'a b', build: 'a\u0000', zone: 1 }))).toBe(
      '400 invalid_request token, region, replica, build, zone',
    );
    expect(await outcome(join('x', { build: 'x'.repeat(20_000) }))).toBe('413 body_too_large');
  });
});

describe('a status report', () => {
  it('is kept, and shown with how far behind the replica is', async () => {
    const joined = await good(join(await newToken({ region: 'us-east' }), { region: 'us-east', replica: 'behind' }));
    for (const n of [1, 2, 3]) await good(app.call('POST', '/v1/plans', { id: `plan-${n}` }));
    const nack = { table: 'release', key: 'k', revision: 1, code: 'x', detail: 'a\u0000b\ud800' };
    const error = { code: 'bad_hash', detail: 'd', at: '2026-01-01T00:00:00Z' };
    const status = statusOf(joined, {
      ...polling,
      revision: 1,
      head: 3,
      nacks: [nack],
      lastError: error,
      build: '0.9',
      state: 'isolated',
      freshness: 'stale',
    });
    expect(await outcome(report(joined.token, { ...status, fieldOfANewerBuild: 1 }))).toBe('204');
    const read = await app.call('GET', '/v1/replicas/behind');
    expect(read.body).toMatchObject({
      id: 'behind',
      region: 'us-east',
      environment: 'prod',
      build: '0.9',
      state: 'isolated',
      freshness: 'stale',
      revision: 1,
      behind: 2,
      nacks: 1,
      lastError: error,
    });
    expect(read.body.status).toEqual({ ...status, nacks: [{ ...nack, detail: 'a\uFFFDb\uFFFD' }] });
    expect(read.body.silentForSeconds).toBeGreaterThanOrEqual(0);
    expect(Date.parse(read.body.reportedAt)).toBeGreaterThan(0);
    await good(report(joined.token, statusOf(joined, { ...polling, revision: 3 })));
    expect(await good(app.call('GET', '/v1/replicas/behind'))).toMatchObject({ behind: 0, nacks: 0, lastError: null });
    await app.source.query(`UPDATE replica SET reported_at = reported_at - interval '90 s' WHERE id = 'behind'`);
    expect((await good(app.call('GET', '/v1/replicas/behind'))).silentForSeconds).toBeGreaterThanOrEqual(90);
    expect(await auditOf(app, 'replica/behind')).toHaveLength(1);
  });

  it('speaks for nobody but the replica whose token it has', async () => {
    const one = await good(join(await newToken()));
    const other = await good(join(await newToken({ region: 'us-east' }), { region: 'us-east' }));
    const lie = (change: Partial<ReplicaStatus>) =>
      outcome(report(one.token, statusOf(one, { ...polling, ...change })));
    expect(await lie({ replica: other.replica })).toBe('400 invalid_request replica');
    expect(await lie({ region: 'us-east', environment: 'dev' })).toBe('400 invalid_request region, environment');
    expect(await lie({ replica: other.replica, region: other.region })).toBe('400 invalid_request replica, region');
    expect((await good(app.call('GET', `/v1/replicas/${other.replica}`))).reportedAt).toBeNull();
    expect(await outcome(app.call('POST', '/v1/replicas/status', statusOf(one, polling)))).toBe('401 unauthenticated');
    expect(await outcome(app.call('GET', '/v1/replicas', undefined, { authorization: `Bearer ${one.token}` }))).toBe(
      '401 unauthenticated',
    );
  });

  it('is refused with each fault named', async () => {
    const joined = await good(join(await newToken()));
    const send = (change: object) => outcome(report(joined.token, { ...statusOf(joined, polling), ...change }));
    expect(await send({ state: 'fine', revision: -1, hash: 'x' })).toBe('400 invalid_request state, revision, hash');
    expect(await send({ nacks: [{ table: 'x' }] })).toMatch(/^400 invalid_request nacks\[0\]\.key/);
    expect(await send({ note: 'x'.repeat(256 * 1024) })).toBe('413 body_too_large');
  });
});

describe('replicas', () => {
  it('are listed, filtered and paged', async () => {
    await good(join(await newToken({ region: 'lab' }), { region: 'lab', environment: 'dev', replica: 'lab-x' }));
    const all = await pages(app, '/v1/replicas', 3);
    expect(all).toHaveLength(new Set(all.map((one) => one.id)).size);
    expect(all.map((one) => one.id)).toEqual((await pages(app, '/v1/replicas', 200)).map((one) => one.id));
    expect((await pages(app, '/v1/replicas?environment=dev', 1)).map((one) => one.id)).toEqual(['lab-x']);
    expect(
      (await pages(app, '/v1/replicas?environment=prod&region=us-east', 2)).every((one) => one.region === 'us-east'),
    ).toBe(true);
    expect(await outcome(app.call('GET', '/v1/replicas?zone=1'))).toBe('400 invalid_request zone');
    expect(await outcome((await as(app, 'viewer'))('GET', '/v1/replicas'))).toBe('200');
    expect(await outcome(app.call('GET', '/v1/replicas/nobody'))).toBe('404 not_found');
  });

  it('that are removed cannot report any more', async () => {
    const joined = await good(join(await newToken(), { replica: 'leaving' }));
    expect(await outcome((await as(app, 'publisher'))('DELETE', '/v1/replicas/leaving'))).toBe('403 forbidden');
    expect(await outcome(app.call('DELETE', '/v1/replicas/leaving', undefined, { 'if-match': '"1"' }))).toBe(
      '412 precondition_failed',
    );
    const etag = (await app.call('GET', '/v1/replicas/leaving')).headers.get('etag') ?? '';
    expect(await outcome(app.call('DELETE', '/v1/replicas/leaving', undefined, { 'if-match': etag }))).toBe('204');
    expect(await outcome(report(joined.token, statusOf(joined, polling)))).toBe('401 unauthenticated');
    expect(await auditOf(app, 'replica/leaving')).toMatchObject([
      { action: 'replica.join' },
      { action: 'replica.delete', before: { region: 'eu-west' } },
    ]);
  });
});
