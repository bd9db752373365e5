import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '#harness';
import { as, good, outcome } from '../testing/answers.js';
import { PromotionScene } from '../testing/promotion-scene.js';
import { type CallAnswer, type StartedApp } from '../testing/start-app.js';
import { statusOf } from '../testing/stream-client.js';

let scene: PromotionScene;
let app: StartedApp;
beforeAll(async () => {
  scene = await PromotionScene.start();
  app = scene.app;
});
afterAll(() => app?.stop());

const status = (query = ''): Promise<CallAnswer['body']> => good(app.call('GET', `/v1/status${query}`));

describe('/v1/status', () => {
  it('says of each environment where it stands and who leads, in the order of the pipeline', async () => {
    const seen = await until(
      async () => {
        const now = await status();
        return now.environments.every(({ state }: { state: string }) => state === 'publishing') && now;
      },
      { what: 'all environments to be published' },
    );
    expect(seen).toMatchObject({ instance: app.config.instance, version: '0.1.0' });
    expect(seen.environments.map(({ id }: { id: string }) => id)).toEqual(['dev', 'staging', 'prod']);
    for (const environment of seen.environments)
      expect(environment).toMatchObject({ leader: app.config.instance, problem: null, epoch: expect.any(Number) });
    const { revision } = await good(app.call('GET', '/v1/environments/dev/head'));
    expect(seen.environments[0].revision).toBeLessThanOrEqual(revision);
  });

  it('has the replicas of each region with what they report, and regions without any', async () => {
    const { token } = await good(app.call('POST', '/v1/join-tokens', { region: 'eu-west' }));
    const who = { region: 'eu-west', environment: 'prod', build: '0.1.0', replica: 'eu-west-1' };
    const joined = await good(app.call('POST', '/v1/replicas/join', { ...who, token }, { authorization: '' }));
    const traffic = { requestsPerSecond: 12.5, errorsPerSecond: 0.5 };
    const said = statusOf(joined, { state: 'polling', source: 'store', throttle: 'shared', traffic });
    const asReplica = { authorization: `Bearer ${joined.token}` };
    await good(app.call('POST', '/v1/replicas/status', said, asReplica));
    const { environments } = await status('?environment=prod');
    expect(environments).toHaveLength(1);
    expect(environments[0].regions.map(({ id }: { id: string }) => id)).toEqual(['ap-south', 'eu-west', 'us-east']);
    const [none, one] = environments[0].regions;
    expect(none.replicas).toEqual([]);
    expect(one.replicas).toMatchObject([{ id: 'eu-west-1', state: 'polling', throttle: 'shared', traffic, nacks: 0 }]);
    expect(one.replicas[0]).toEqual({
      ...(await good(app.call('GET', '/v1/replicas'))).items[0],
      silentForSeconds: expect.any(Number),
    });
  });

  it('has the promotions that are open, and not those that have ended', async () => {
    await scene.placed('staging', { 'weather:v1@*': scene.release(0), 'climate:v1@*': scene.release(0, 'climate:v1') });
    await good(app.call('PUT', '/v1/environments/prod/promotion-policy', { approvals: 1 }, { 'if-match': '"0"' }));
    const { id } = await good(scene.promote({ release: scene.release(0), strategy: { waves: [['us-east'], ['*']] } }));
    const open = async (): Promise<unknown> => (await status('?environment=prod')).environments[0].promotions;
    expect(await open()).toEqual([
      { id, apis: ['weather:v1'], state: 'requested', wave: 0, waves: 2, since: expect.any(String) },
    ]);
    await good(scene.act(id, 'reject'));
    expect(await open()).toEqual([]);
  });

  it('is for everybody with a token, and knows the environments that there are', async () => {
    const viewer = await as(app, 'viewer');
    expect(await outcome(viewer('GET', '/v1/status'))).toBe('200');
    expect(await outcome(app.call('GET', '/v1/status', undefined, { authorization: '' }))).toBe('401 unauthenticated');
    expect(await outcome(app.call('GET', '/v1/status?environment=mars'))).toBe('404 not_found');
  });
});
