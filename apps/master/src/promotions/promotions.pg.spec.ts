import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { until } from '#harness';
import { as, auditOf, good, outcome, pages } from '../testing/answers.js';
import { PromotionScene, UNSEEN } from '../testing/promotion-scene.js';

let scene: PromotionScene;
beforeAll(async () => {
  scene = await PromotionScene.start();
  await scene.placed('staging', {
    'weather:v1@stage': scene.release(1),
    'climate:v1@stage': scene.release(1, 'climate:v1'),
  });
});
afterAll(() => scene?.app.stop());

const WAVES = [['eu-west'], ['us-east', 'ap-south']];
const QUICK = { soak: 0, gates: UNSEEN };
const act: PromotionScene['act'] = (...asked) => scene.act(...asked);

afterEach(async () => {
  for (const { id } of await pages(scene.app, '/v1/promotions?state=open', 50)) {
    await act(id, 'abort');
    await scene.is(id, (await scene.get(id)).wave === 0 ? 'rejected' : 'rolled-back').catch(() => undefined);
  }
  const places = Object.keys(await scene.placements());
  if (places.length > 0) await scene.placed('prod', Object.fromEntries(places.map((place) => [place, null])));
});

describe('a promotion', () => {
  it('brings a release to an environment wave by wave, and P5 what serves then is what was asked for', async () => {
    await scene.placed('prod', { 'weather:v1@eu-west': scene.release(0) });
    const made = await scene.promote({ release: scene.release(1), strategy: { ...QUICK, waves: WAVES } });
    expect([made.status, made.headers.get('location')]).toEqual([201, `/v1/promotions/${made.body.id}`]);
    expect(made.body).toMatchObject({
      kind: 'promotion',
      to: 'prod',
      state: 'approved',
      wave: 0,
      requestedBy: 'bootstrap',
    });
    const done = await scene.is(made.body.id, 'completed');
    expect(done).toMatchObject({ wave: 2, because: null, waitsFor: null });
    expect(await scene.placements()).toEqual({
      'weather:v1@ap-south': scene.release(1),
      'weather:v1@eu-west': scene.release(1),
      'weather:v1@us-east': scene.release(1),
    });
    expect(await scene.placingsAudited(done.id)).toEqual([
      'placement.update weather:v1@eu-west',
      'placement.create weather:v1@us-east',
      'placement.create weather:v1@ap-south',
    ]);
    expect((await auditOf(scene.app, `promotion/${done.id}`)).map(({ action }) => action)).toEqual([
      'promotion.create',
      'promotion.start',
      'promotion.acknowledged',
      'promotion.passed',
      'promotion.acknowledged',
      'promotion.passed',
    ]);
    expect(await scene.app.source.query('SELECT FROM job')).toEqual([]);
  });

  it('is refused with each fault named', async () => {
    const [release, other] = [scene.release(1), scene.release(1, 'climate:v1')];
    const send = (body: object) => outcome(scene.promote(body));
    expect(await send({})).toBe('400 invalid_request release');
    expect(await send({ release, releases: [{ api: 'weather:v1', release }] })).toBe('400 invalid_request releases');
    expect(await send({ release, skip: true })).toBe('400 invalid_request reason');
    expect(await send({ release, strategy: { waves: [] } })).toBe('400 invalid_request strategy.waves');
    expect(await send({ release, strategy: { waves: [['*'], ['eu-west'], ['eu-west']] } })).toBe(
      '400 invalid_request strategy.waves[0][0], strategy.waves[2][0]',
    );
    expect(await send({ release, strategy: { waves: WAVES, soak: [1] } })).toBe('400 invalid_request strategy.soak');
    expect(await send({ release, strategy: { soak: -1, gates: { p95Factor: 0 } } })).toBe(
      '400 invalid_request strategy.soak, strategy.gates.p95Factor',
    );
    expect(await send({ release, to: 'nowhere' })).toBe('422 unknown_reference to');
    expect(await send({ release: other })).toBe('422 unknown_reference release');
    expect(await send({ release, strategy: { waves: [['eu-west'], ['lab']] } })).toBe(
      '422 unknown_reference strategy.waves[1][0]',
    );
    const set = [
      { api: 'weather:v1', release },
      { api: 'climate:v1', release },
    ];
    expect(await send({ api: undefined, releases: set })).toBe('422 unknown_reference releases[1].release');
    expect(await send({ api: undefined, releases: [set[0], set[0]] })).toBe('400 invalid_request releases[1].api');
    const regions = Array.from({ length: 40 }, (_, wave) =>
      Array.from({ length: 200 }, (__, n) => `region-${wave}-${n}`),
    );
    const tooMany = await scene.promote({ release, strategy: { waves: regions } });
    expect([tooMany.status, tooMany.body.detail]).toEqual([
      400,
      '1 releases in 8000 regions are more than 5000 placements',
    ]);
    expect(await outcome((await as(scene.app, 'viewer'))('POST', '/v1/promotions', { to: 'prod' }))).toBe(
      '403 forbidden',
    );
    expect(await outcome(scene.app.call('GET', '/v1/promotions/00000000-0000-4000-8000-000000000000'))).toBe(
      '404 not_found',
    );
  });

  it('takes only what serves in the environment before, unless an admin skips that with a reason', async () => {
    const refused = await scene.promote({ release: scene.release(0) });
    expect([refused.status, refused.body.code]).toEqual([409, 'not_promotable']);
    expect(refused.body.detail).toContain('does not serve in "staging", the environment before');
    const publisher = await as(scene.app, 'publisher');
    const body = {
      api: 'weather:v1',
      release: scene.release(0),
      to: 'prod',
      skip: true,
      reason: 'hot fix',
      strategy: QUICK,
    };
    expect(await outcome(publisher('POST', '/v1/promotions', body))).toBe('403 forbidden');
    const { id } = await good(scene.app.call('POST', '/v1/promotions', body));
    await scene.is(id, 'completed');
    expect(await auditOf(scene.app, `promotion/${id}`)).toMatchObject([
      { after: { skip: true, reason: 'hot fix' } },
      {},
      {},
      {},
    ]);
    const first = await good(
      publisher('POST', '/v1/promotions', { ...body, to: 'dev', skip: false, reason: undefined }),
    );
    expect((await scene.is(first.id, 'completed')).to).toBe('dev');
  });

  it('takes what serves in the environment before while another release is being tried there', async () => {
    const other = await good(
      scene.app.call('POST', '/v1/promotions', {
        api: 'weather:v1',
        release: scene.release(2),
        to: 'staging',
        skip: true,
        reason: 'a test',
        strategy: { waves: [['*']], soak: 3600, gates: UNSEEN },
      }),
    );
    await scene.is(other.id, 'soaking');
    const { id } = await good(scene.promote({ release: scene.release(1), strategy: QUICK }));
    await scene.is(id, 'completed');
    const tried = await scene.promote({ release: scene.release(2) });
    expect([tried.body.code, tried.body.detail]).toEqual([
      'not_promotable',
      `"weather:v1" is being promoted in "staging", by ${other.id}`,
    ]);
    await good(act(other.id, 'abort'));
    await scene.is(other.id, 'rolled-back');
  });

  it('says whom it waits for when its job has failed for good', async () => {
    const strategy = { waves: [['eu-west']], soak: 3600, gates: UNSEEN };
    const { id } = await good(scene.promote({ release: scene.release(1), strategy }));
    await scene.is(id, 'soaking');
    await scene.app.source.query(`UPDATE job SET state = 'failed', error = 'a bug' WHERE subject = $1`, [id]);
    const job = (await pages(scene.app, '/v1/jobs?state=failed', 50))[0]?.id;
    expect((await scene.get(id)).waitsFor).toBe(`somebody who retries its job ${job}, which has failed: a bug`);
    await good(scene.app.call('POST', `/v1/jobs/${job}/retry`));
    await until(async () => (await scene.get(id)).waitsFor?.startsWith('it soaks for'), { what: 'it to go on' });
    await good(act(id, 'skip'));
    await scene.is(id, 'completed');
  });

  it('is listed, the newest first, by environment, API and state', async () => {
    const made: string[] = [];
    for (let n = 0; n < 3; n++) {
      const { id } = await good(scene.promote({ release: scene.release(1), strategy: QUICK }));
      await scene.is(id, 'completed');
      made.unshift(id);
    }
    for (const limit of [1, 2, 50]) {
      const found = await pages(scene.app, '/v1/promotions?api=weather:v1&environment=prod&state=completed', limit);
      expect(found.map(({ id }) => id).slice(0, 3)).toEqual(made);
    }
    expect(await pages(scene.app, '/v1/promotions?api=none:v1', 1)).toEqual([]);
    expect(await pages(scene.app, '/v1/promotions?state=open', 1)).toEqual([]);
    expect(await outcome(scene.app.call('GET', '/v1/promotions?state=over'))).toBe('400 invalid_request state');
  });

  it('changes a release set in one revision per wave', async () => {
    const releases = ['weather:v1', 'climate:v1'].map((api) => ({ api, release: scene.release(1, api) }));
    const { body } = await scene.promote({ api: undefined, releases, strategy: { ...QUICK, waves: WAVES } });
    await scene.is(body.id, 'completed');
    const rows: { regions: string; revisions: string[] }[] = await scene.app.source.query(
      `SELECT string_agg(DISTINCT split_part(a.target, '/', 4), ' ' ORDER BY split_part(a.target, '/', 4)) AS regions,
         ARRAY(SELECT r.revision FROM revision r WHERE r.environment_id = 'prod' AND r.xids @> ARRAY[a.xid]) AS revisions, count(*)::int AS n
       FROM audit a WHERE a.actor = $1 AND a.action LIKE 'placement.%' GROUP BY a.xid ORDER BY min(a.id)`,
      [`promotion/${body.id}`],
    );
    expect(rows).toMatchObject([
      { regions: 'eu-west', n: 2 },
      { regions: 'ap-south us-east', n: 4 },
    ]);
    expect(rows.map(({ revisions }) => revisions.length)).toEqual([1, 1]);
  });

  it('is one at a time for an API in an environment, of ten that are asked for at once', async () => {
    await scene.app.call('PUT', '/v1/environments/prod/promotion-policy', { approvals: 1 }, { 'if-match': '*' });
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => scene.promote({ release: scene.release(1), strategy: QUICK })),
    );
    const made = answers.filter(({ status }) => status === 201);
    const refused = answers.filter(({ status }) => status === 409);
    expect([made.length, refused.length]).toEqual([1, 9]);
    expect(refused[0]?.body).toMatchObject({ code: 'promotion_open' });
    expect(refused[0]?.body.detail).toContain(made[0]?.body.id);
    const place = '/v1/placements/prod/weather:v1/eu-west';
    expect(await outcome(scene.app.call('PUT', place, { release: scene.release(0), reason: 'x' }))).toBe(
      '409 promotion_open',
    );
    expect(await outcome(scene.app.call('DELETE', `${place}?reason=x`))).toBe('409 promotion_open');
    const items = [{ api: 'weather:v1', region: '*', release: scene.release(0) }];
    expect(await outcome(scene.app.call('POST', '/v1/placements', { environment: 'prod', items, reason: 'x' }))).toBe(
      '409 promotion_open',
    );
    expect(await outcome(scene.app.call('DELETE', '/v1/apis/weather:v1'))).toBe('409 in_use');
    const other = await scene.promote({ api: 'climate:v1', release: scene.release(1, 'climate:v1') });
    expect(other.status).toBe(201);
    await good(act(made[0]?.body.id, 'abort'));
    expect((await scene.get(made[0]?.body.id)).state).toBe('rejected');
    await scene.placed('prod', { 'weather:v1@eu-west': scene.release(0) });
    await scene.app.call('PUT', '/v1/environments/prod/promotion-policy', { approvals: 0 }, { 'if-match': '*' });
  });
});

describe('approvals', () => {
  it('are given by as many others as the environment asks for, and by each once', async () => {
    const policy = '/v1/environments/prod/promotion-policy';
    expect(await outcome(scene.app.call('PUT', policy, { approvals: 2 }))).toBe('428 precondition_required');
    expect((await scene.app.call('PUT', policy, { approvals: 2 }, { 'if-match': '*' })).body).toEqual({
      environment: 'prod',
      approvals: 2,
    });
    const [publisher, operator] = [await as(scene.app, 'publisher'), await as(scene.app, 'operator')];
    const { body } = await scene.promote({ release: scene.release(1), strategy: QUICK });
    expect(body).toMatchObject({ state: 'requested', approvals: { needed: 2, by: [] } });
    const approve = (call?: typeof publisher) => act(body.id, 'approve', {}, call);
    expect(await outcome(approve())).toBe('403 forbidden');
    expect((await good(approve(publisher))).state).toBe('requested');
    expect((await good(approve(publisher))).approvals.by).toEqual(['publisher']);
    expect((await scene.get(body.id)).waitsFor).toBe('1 of 2 approvals');
    expect(await scene.placements()).toEqual({});
    await good(approve(operator));
    expect((await scene.is(body.id, 'completed')).approvals).toEqual({ needed: 2, by: ['publisher', 'operator'] });
    expect(await outcome(approve(operator))).toBe('200'); // once more is once
    expect(await outcome(approve(await as(scene.app, 'admin')))).toBe('409 promotion_state');
    const second = await scene.promote({ release: scene.release(1), strategy: QUICK });
    expect((await good(act(second.body.id, 'reject', { reason: 'not today' }, publisher))).because).toEqual({
      detail: 'not today',
      actor: 'publisher',
    });
    const third = await scene.promote({ release: scene.release(1), strategy: QUICK });
    expect(await outcome(act(third.body.id, 'skip', { reason: 'urgent' }, operator))).toBe('403 forbidden');
    await good(act(third.body.id, 'skip', { reason: 'urgent' }));
    await scene.is(third.body.id, 'completed');
    await good(scene.app.call('PUT', policy, { approvals: 0 }, { 'if-match': '*' }));
  });

  it('are worth nothing when the release has been taken back where it was tested', async () => {
    const policy = '/v1/environments/prod/promotion-policy';
    await good(scene.app.call('PUT', policy, { approvals: 1 }, { 'if-match': '*' }));
    const { body } = await scene.promote({ release: scene.release(1), strategy: QUICK });
    await scene.placed('staging', { 'weather:v1@stage': scene.release(2) });
    await good(act(body.id, 'approve', {}, await as(scene.app, 'operator')));
    const done = await scene.is(body.id, 'rejected');
    expect(done.because?.detail).toContain('does not serve in "staging"');
    expect(await scene.placements()).toEqual({});
    await scene.placed('staging', { 'weather:v1@stage': scene.release(1) });
    await good(scene.app.call('PUT', policy, { approvals: 0 }, { 'if-match': '*' }));
  });
});
