import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '#harness';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { as, good, outcome, pages } from '../testing/answers.js';
import { PromotionScene, UNSEEN } from '../testing/promotion-scene.js';
import { SceneReplica } from '../testing/scene-replica.js';

const API = 'weather:v1';
const WAVES = [['eu-west'], ['us-east', '*']];
let scene: PromotionScene;
let replicas: Record<'eu-west' | 'us-east' | 'ap-south', SceneReplica>;

beforeAll(async () => {
  scene = await PromotionScene.start();
  await scene.placed('staging', {
    [`${API}@stage`]: scene.release(1),
    'climate:v1@stage': scene.release(1, 'climate:v1'),
  });
  const join = (region: string) => SceneReplica.join(scene.app, region);
  replicas = { 'eu-west': await join('eu-west'), 'us-east': await join('us-east'), 'ap-south': await join('ap-south') };
});
afterAll(() => scene?.app.stop());

/** Each region had something else: a release, another one, and nothing of its own. */
const before = async (): Promise<{ root: string; placements: Record<string, string> }> => {
  await scene.placed('prod', {
    [`${API}@eu-west`]: scene.release(0),
    [`${API}@us-east`]: scene.release(2),
    [`${API}@*`]: scene.release(0),
    'climate:v1@eu-west': null,
    'climate:v1@us-east': null,
    'climate:v1@*': null,
  });
  return { root: await scene.root(), placements: await scene.placements() };
};

afterEach(async () => {
  for (const replica of Object.values(replicas)) replica.client.acknowledges = true;
  const open = (): ReturnType<typeof pages> => pages(scene.app, '/v1/promotions?state=open', 50);
  for (const { id } of await open()) await scene.act(id, 'abort');
  await until(async () => (await open()).length === 0, { what: 'what was aborted to be back' });
});

const promote = async (strategy: object, more: object = {}): Promise<string> => {
  const body = { release: scene.release(1), strategy: { waves: WAVES, soak: 0, gates: UNSEEN, ...strategy }, ...more };
  return (await good(scene.promote(body))).id;
};

describe('a wave', () => {
  it('P2 waits for every replica of its regions, and nothing changes elsewhere until they have it', async () => {
    const { placements } = await before();
    replicas['eu-west'].client.acknowledges = false;
    const id = await promote({});
    await scene.is(id, 'rolling');
    await until(async () => (await scene.get(id)).waitsFor?.includes('eu-west-1'), {
      what: 'it to say whom it waits for',
    });
    expect((await scene.get(id)).waitsFor).toMatch(/^1 of 1 replicas have not acknowledged it: eu-west-1 is at \d+$/);
    expect(await scene.placements()).toEqual({ ...placements, [`${API}@eu-west`]: scene.release(1) });
    const { client } = replicas['eu-west'];
    client.send({ type: 'ack', revision: client.position.revision, lagMs: 1 });
    await scene.is(id, 'completed');
    expect(await scene.placements()).toEqual(
      Object.fromEntries(['*', 'eu-west', 'us-east'].map((region) => [`${API}@${region}`, scene.release(1)])),
    );
  });

  it('begins only where a replica of the environment before has got the release, and none refuses it', async () => {
    const stage = await SceneReplica.join(scene.app, 'stage', 'staging');
    stage.client.acknowledges = false;
    await scene.placed('staging', { [`${API}@stage`]: scene.release(2) });
    const body = { release: scene.release(2), strategy: { waves: WAVES, soak: 0, gates: UNSEEN } };
    const early = await scene.promote(body);
    expect([early.status, early.body.code]).toEqual([409, 'not_promotable']);
    expect(early.body.detail).toContain(
      'in "staging", the environment before, and none of its 1 replicas there has it yet',
    );
    stage.client.acknowledges = true;
    const { revision } = await good(scene.app.call('GET', '/v1/environments/staging/head'));
    await until(() => stage.client.position.revision === revision, { what: 'the revision to come' });
    stage.client.send({ type: 'ack', revision, lagMs: 1 });
    await until(async () => (await scene.promote(body)).status === 201, { what: 'it to be promotable' });
    await stage.client.end();
    await good(scene.app.call('DELETE', `/v1/replicas/${stage.id}`));
    await scene.placed('staging', { [`${API}@stage`]: scene.release(1) });
  }, 30_000);

  it('P4 that a replica never acknowledges is rolled back to what each region had, and the root proves it', async () => {
    const { root, placements } = await before();
    replicas['ap-south'].client.acknowledges = false; // it is what `*` stands for
    const id = await promote({ gates: { ...UNSEEN, acknowledgedWithin: 1 } });
    const failed = await scene.is(id, 'rolling-back');
    expect(failed.because).toMatchObject({
      gate: 'acknowledged',
      actor: null,
      regions: ['ap-south'],
      replicas: ['ap-south-1'],
    });
    expect(failed).toMatchObject({ wave: 2 });
    const done = await scene.is(id, 'rolled-back'); // though the replica is still missing, which it names
    expect(done.because?.detail).toMatch(/have not acknowledged it: ap-south-1.*ap-south-1/);
    expect([await scene.placements(), await scene.root()]).toEqual([placements, root]);
    expect((await scene.placingsAudited(id)).length).toBe(6);
  });

  it('P4 is rolled back when one of its replicas cannot use the release', async () => {
    const { root, placements } = await before();
    const id = await promote({ soak: 3600 });
    await scene.is(id, 'soaking');
    const { client } = replicas['eu-west'];
    const nack = { revision: client.position.revision, code: 'release_too_new', detail: 'unknown policy' };
    replicas['eu-west'].report([{ ...nack, table: 'key', key: 'somebody else' }]);
    await sleep(600);
    expect((await scene.get(id)).state).toBe('soaking');
    replicas['eu-west'].report([{ ...nack, table: 'release', key: scene.release(1) }]);
    const done = await scene.is(id, 'rolled-back');
    expect(done.because).toMatchObject({ gate: 'nack', replicas: ['eu-west-1'] });
    expect([await scene.placements(), await scene.root()]).toEqual([placements, root]);
    replicas['eu-west'].report();
  });
});

describe('people', () => {
  it('P4 abort a release set in mid-wave: all of it goes back, to where there was nothing, too', async () => {
    const { root, placements } = await before();
    const releases = [API, 'climate:v1'].map((api) => ({ api, release: scene.release(1, api) }));
    const id = await promote({ soak: 3600 }, { api: undefined, release: undefined, releases });
    const at = await scene.is(id, 'soaking');
    expect(at.waitsFor).toMatch(/^it soaks for another \d+ s$/);
    expect(await scene.root()).not.toBe(root);
    await good(scene.act(id, 'abort', { reason: 'a complaint' }));
    expect((await scene.is(id, 'rolled-back')).because).toEqual({ detail: 'a complaint', actor: 'bootstrap' });
    expect([await scene.placements(), await scene.root()]).toEqual([placements, root]);
  });

  it('pause, resume and skip; what does not fit is refused by its state, and what was not seen by its ETag', async () => {
    await before();
    const id = await promote({ soak: 3600 });
    await scene.is(id, 'soaking');
    const { headers } = await scene.app.call('GET', `/v1/promotions/${id}`);
    expect(await outcome(scene.act(id, 'resume'))).toBe('409 promotion_state');
    expect(await outcome(scene.act(id, 'rollback'))).toBe('409 promotion_state');
    expect((await good(scene.act(id, 'pause', { reason: 'lunch' }))).state).toBe('paused');
    const stale = scene.app.call(
      'POST',
      `/v1/promotions/${id}/abort`,
      { reason: 'x' },
      { 'if-match': headers.get('etag') ?? '' },
    );
    expect(await outcome(stale)).toBe('412 precondition_failed');
    expect((await scene.get(id)).waitsFor).toBe('somebody who resumes or aborts it');
    await good(scene.act(id, 'resume'));
    const placed = await scene.placingsAudited(id);
    expect((await scene.is(id, 'soaking')).wave).toBe(1);
    expect(await scene.placingsAudited(id)).toEqual(placed); // P1: not once more
    expect(await outcome(scene.act(id, 'skip', { reason: 'x' }, await as(scene.app, 'operator')))).toBe(
      '403 forbidden',
    );
    await good(scene.act(id, 'skip'));
    await until(async () => (await scene.get(id)).wave === 2, { what: 'the second wave' });
    await scene.is(id, 'soaking');
    await good(scene.act(id, 'skip'));
    expect((await scene.get(id)).state).toBe('completed');
  });

  it('P4 roll back a promotion that is completed, unless something else was placed since', async () => {
    const { root, placements } = await before();
    const id = await promote({});
    await scene.is(id, 'completed');
    const publisher = await as(scene.app, 'publisher');
    expect(await outcome(scene.act(id, 'rollback', { reason: 'x' }, publisher))).toBe('403 forbidden');
    expect((await good(scene.act(id, 'rollback', { reason: 'slow' }))).state).toBe('rolling-back');
    expect((await scene.is(id, 'rolled-back')).because?.detail).toBe('slow');
    expect([await scene.placements(), await scene.root()]).toEqual([placements, root]);
    const next = await promote({});
    await scene.is(next, 'completed');
    await scene.placed('prod', { [`${API}@us-east`]: scene.release(0) });
    const refused = await scene.act(next, 'rollback');
    expect([refused.status, refused.body.code]).toEqual([409, 'conflict']);
    expect(refused.body.detail).toContain('"us-east" has been given');
  });

  it('go back to any release that has served, in any regions, in one call', async () => {
    await before();
    await scene.is(await promote({}), 'completed');
    const rollback = (more: object) =>
      scene.app.call('POST', '/v1/rollbacks', { environment: 'prod', reason: 'it is slow', ...more });
    const to = (n: number, api = API) => [{ api, release: scene.release(n, api) }];
    expect(await outcome(rollback({ releases: to(2, 'climate:v1'), regions: ['eu-west'] }))).toBe('409 not_promotable');
    expect(await outcome(rollback({ releases: to(0), regions: ['lab'] }))).toBe('422 unknown_reference regions[0]');
    expect(await outcome((await as(scene.app, 'publisher'))('POST', '/v1/rollbacks', {}))).toBe('403 forbidden');
    const made = await good(rollback({ releases: to(0), regions: ['eu-west', '*'] }));
    expect(made).toMatchObject({ kind: 'rollback', state: 'rolling-back', wave: 1, reason: 'it is slow' });
    await scene.is(made.id, 'rolled-back');
    expect(await scene.placements()).toEqual({
      [`${API}@*`]: scene.release(0),
      [`${API}@eu-west`]: scene.release(0),
      [`${API}@us-east`]: scene.release(1),
    });
    await scene.placed('prod', { [`${API}@*`]: null });
    const everywhere = await scene.app.call(
      'POST',
      '/v1/rollbacks',
      { environment: 'prod', reason: 'all of it', releases: to(2) },
      { prefer: 'wait=20' },
    );
    expect([everywhere.status, everywhere.body.state]).toEqual([201, 'rolled-back']);
    // wherever it is placed, and nowhere else
    expect(await scene.placements()).toEqual({
      [`${API}@eu-west`]: scene.release(2),
      [`${API}@us-east`]: scene.release(2),
    });
    await scene.placed('prod', { 'climate:v1@eu-west': scene.release(0, 'climate:v1') });
    const both = [...to(2), ...to(0, 'climate:v1')];
    expect(await outcome(rollback({ releases: both }))).toBe('422 unknown_reference regions');
  });
});
