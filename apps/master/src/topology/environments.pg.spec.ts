import { until } from '#harness';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { as, auditOf, good, outcome, pages } from '../testing/answers.js';
import { type StartedApp, startApp } from '../testing/start-app.js';

let app: StartedApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app?.stop());

const create = (id: unknown, position: unknown = 10) => app.call('POST', '/v1/environments', { id, position });

describe('environments', () => {
  it('are made, read, listed in the order of the pipeline, and audited', async () => {
    const made = await create('prod', 30);
    expect(made.status).toBe(201);
    expect(made.headers.get('location')).toBe('/v1/environments/prod');
    expect(made.headers.get('etag')).toBe('"1"');
    expect(made.body).toEqual({ id: 'prod', position: 30, createdAt: expect.stringMatching(/^20.*Z$/) });
    await good(create('dev', 5));
    await good(create('staging', 20));
    await good(create('canary', 30));
    expect(await good(app.call('GET', '/v1/environments/prod'))).toEqual(made.body);
    for (const limit of [1, 3, 200]) {
      expect((await pages(app, '/v1/environments', limit)).map((one) => one.id)).toEqual([
        'dev',
        'staging',
        'canary',
        'prod',
      ]);
    }
    expect(await auditOf(app, 'environment/prod')).toMatchObject([
      { action: 'environment.create', actor: 'bootstrap', after: { id: 'prod' } },
    ]);
  });

  it('are refused with each fault named', async () => {
    expect(await outcome(create('all'))).toBe('400 invalid_request id');
    expect(await outcome(create('Prod'))).toBe('400 invalid_request id');
    expect(await outcome(create('e'.repeat(33)))).toBe('400 invalid_request id');
    expect(await outcome(create(7, '1'))).toBe('400 invalid_request id, position');
    expect(await outcome(create('x', -1))).toBe('400 invalid_request position');
    expect(await outcome(create('x', 1.5))).toBe('400 invalid_request position');
    expect(await outcome(app.call('POST', '/v1/environments', { id: 'x', position: 1, colour: 1 }))).toBe(
      '400 invalid_request colour',
    );
    expect(await outcome(app.call('POST', '/v1/environments'))).toBe('400 invalid_request id, position');
    expect(await outcome(app.call('POST', '/v1/environments', '{"id":'))).toBe('400 malformed_json');
    expect(await outcome(app.call('POST', '/v1/environments', 'id=x', { 'content-type': 'text/plain' }))).toBe(
      '415 unsupported_media_type',
    );
    expect(await outcome(app.call('POST', '/v1/environments', { id: 'x'.repeat(2 ** 20), position: 1 }))).toBe(
      '413 body_too_large',
    );
    expect(await outcome(app.call('GET', '/v1/environments/nowhere'))).toBe('404 not_found');
    expect(await outcome(app.call('GET', '/v1/environments/No%20Where'))).toBe('400 invalid_request environment');
    expect(await outcome(app.call('GET', '/v1/environments?limit=0&colour=red'))).toBe(
      '400 invalid_request limit, colour',
    );
    for (const cursor of [
      'x',
      Buffer.from('["a","b"]').toString('base64url'),
      Buffer.from('["1"]').toString('base64url'),
      Buffer.from('["99999999999","a"]').toString('base64url'),
    ]) {
      expect(await outcome(app.call('GET', `/v1/environments?cursor=${cursor}`))).toBe('400 invalid_request cursor');
    }
  });

  it('are made once, however many ask at the same time', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => outcome(create('race'))));
    expect(answers.filter((answer) => answer === '201')).toHaveLength(1);
    expect(answers.filter((answer) => answer === '409 conflict id')).toHaveLength(9);
    expect(await auditOf(app, 'environment/race')).toHaveLength(1);
  });

  it('answer a repeated Idempotency-Key with what they answered, and nothing else with it', async () => {
    const send = (position: number) =>
      app.call('POST', '/v1/environments', { id: 'once', position }, { 'idempotency-key': 'k1' });
    const [first, second] = [await send(1), await send(1)];
    expect([first.status, second.status, second.headers.get('idempotent-replayed')]).toEqual([201, 201, 'true']);
    expect(second.body).toEqual(first.body);
    expect(second.headers.get('location')).toBe('/v1/environments/once');
    expect(await outcome(send(2))).toBe('422 idempotency_mismatch Idempotency-Key');
  });

  it('are for operators to make and for viewers to see', async () => {
    const [viewer, publisher, operator] = [
      await as(app, 'viewer'),
      await as(app, 'publisher'),
      await as(app, 'operator'),
    ];
    const body = { id: 'roles', position: 1 };
    expect(await outcome(viewer('POST', '/v1/environments', body))).toBe('403 forbidden');
    expect(await outcome(publisher('POST', '/v1/environments', body))).toBe('403 forbidden');
    expect(await outcome(publisher('DELETE', '/v1/environments/prod'))).toBe('403 forbidden');
    expect(await outcome(viewer('GET', '/v1/environments'))).toBe('200');
    expect(await outcome(operator('POST', '/v1/environments', body))).toBe('201');
    expect(await outcome(app.call('GET', '/v1/environments', undefined, { authorization: 'Bearer nobody' }))).toBe(
      '401 unauthenticated',
    );
    expect(await outcome(app.call('GET', '/v1/environments', undefined, { authorization: 'Basic eDp5' }))).toBe(
      '401 unauthenticated',
    );
  });

  it('begin with every plan on their chain, also with one that is made at the same moment', async () => {
    const plans = Array.from({ length: 12 }, (_, n) => `plan-${n}`);
    const environments = ['new-a', 'new-b', 'new-c'];
    await good(app.call('POST', '/v1/plans', { id: 'before' }));
    await Promise.all([
      ...plans.slice(0, 6).map((id) => good(app.call('POST', '/v1/plans', { id }))),
      ...environments.map((id) => good(create(id))),
      ...plans.slice(6).map((id) => good(app.call('POST', '/v1/plans', { id }))),
    ]);
    for (const environment of environments) {
      await until(
        async () => {
          const rows: { key: Buffer }[] = await app.source.query(
            'SELECT key FROM published_entry WHERE environment_id = $1 AND table_id = 3',
            [environment],
          );
          return rows.length === plans.length + 1;
        },
        { what: `all plans on the chain of ${environment}` },
      );
    }
  });

  it('are deleted when nothing is in them', async () => {
    await good(create('unused'));
    await good(app.call('POST', '/v1/regions', { id: 'somewhere', environment: 'unused' }));
    const used = await app.call('DELETE', '/v1/environments/unused');
    expect([used.status, used.body.code]).toEqual([409, 'in_use']);
    expect(used.body.detail).toBe('the environment "unused" has the region "somewhere"; delete that first');
    await good(app.call('DELETE', '/v1/regions/somewhere'));
    const { id: application } = await good(app.call('POST', '/v1/applications', { name: 'crm' }));
    await good(app.call('POST', `/v1/applications/${application}/keys`, { environment: 'unused' }));
    expect((await app.call('DELETE', '/v1/environments/unused')).body.detail).toMatch(
      /has the key [0-9a-f-]{36}, which goes with its application; delete that first$/,
    );
    await good(app.call('DELETE', `/v1/applications/${application}`));
    expect(await outcome(app.call('DELETE', '/v1/environments/unused', undefined, { 'if-match': '"7"' }))).toBe(
      '412 precondition_failed',
    );
    expect(await outcome(app.call('DELETE', '/v1/environments/unused'))).toBe('204');
    expect(await outcome(app.call('DELETE', '/v1/environments/unused'))).toBe('404 not_found');
    expect(await outcome(app.call('GET', '/v1/environments/unused/head'))).toBe('404 not_found');
    expect(await auditOf(app, 'environment/unused')).toMatchObject([
      {},
      { action: 'environment.delete', before: { id: 'unused' } },
    ]);
  });

  it('that are made again go on with their chain, and say what holds now', async () => {
    const headOf = () => good(app.call('GET', '/v1/environments/again/head'));
    const plansOf = async (): Promise<string[]> => {
      const rows: { key: Buffer }[] = await app.source.query(
        `SELECT key FROM published_entry WHERE environment_id = 'again' AND table_id = 3`,
      );
      return rows.map(({ key }) => key.toString());
    };
    await good(create('again'));
    const { headers } = await app.call('POST', '/v1/plans', { id: 'short-lived' });
    expect(headers.get('heliograph-revision')).toContain('again@');
    const { revision, epoch } = await headOf();
    await good(app.call('DELETE', '/v1/environments/again'));
    await good(app.call('DELETE', '/v1/plans/short-lived'));
    await good(app.call('POST', '/v1/plans', { id: 'later' }));
    expect(await plansOf()).toContain('short-lived');
    await good(create('again'));
    await until(async () => (await plansOf()).includes('later'), { what: 'the new plan on the chain' });
    expect(await plansOf()).not.toContain('short-lived');
    const head = await headOf();
    expect(head.revision).toBe(revision + 1);
    expect(head.epoch).toBeGreaterThanOrEqual(epoch);
  });

  it('are not deleted under a region that is made at the same moment', async () => {
    for (let n = 0; n < 5; n++) {
      await good(create(`torn-${n}`));
      const [made, deleted] = await Promise.all([
        outcome(app.call('POST', '/v1/regions', { id: `torn-${n}`, environment: `torn-${n}` })),
        outcome(app.call('DELETE', `/v1/environments/torn-${n}`)),
      ]);
      expect(['201 409 in_use', '422 unknown_reference environment 204']).toContain(`${made} ${deleted}`);
      if (made === '201') await good(app.call('DELETE', `/v1/regions/torn-${n}`));
    }
  });
});

describe('regions', () => {
  it('are made in an environment, read, listed and audited', async () => {
    const made = await app.call('POST', '/v1/regions', { id: 'eu-west', environment: 'prod' });
    expect([made.status, made.headers.get('location'), made.headers.get('etag')]).toEqual([
      201,
      '/v1/regions/eu-west',
      '"1"',
    ]);
    expect(made.body).toMatchObject({ id: 'eu-west', environment: 'prod' });
    for (const [id, environment] of [
      ['us-east', 'prod'],
      ['ap-south', 'dev'],
    ])
      await good(app.call('POST', '/v1/regions', { id, environment }));
    expect((await pages(app, '/v1/regions', 1)).map((one) => one.id)).toEqual(['ap-south', 'eu-west', 'us-east']);
    expect((await pages(app, '/v1/regions?environment=prod', 1)).map((one) => one.id)).toEqual(['eu-west', 'us-east']);
    expect(await good(app.call('GET', '/v1/regions/eu-west'))).toEqual(made.body);
    expect(await auditOf(app, 'region/eu-west')).toMatchObject([
      { action: 'region.create', after: { environment: 'prod' } },
    ]);
  });

  it('are refused with each fault named', async () => {
    const send = (body: unknown) => outcome(app.call('POST', '/v1/regions', body));
    expect(await send({ id: 'mars', environment: 'nowhere' })).toBe('422 unknown_reference environment');
    expect(await send({ id: '*', environment: 'prod' })).toBe('400 invalid_request id');
    expect(await send({ id: 'x' })).toBe('400 invalid_request environment');
    expect(await send({ id: 'x', environment: 'prod', zone: 1 })).toBe('400 invalid_request zone');
    const taken = await app.call('POST', '/v1/regions', { id: 'eu-west', environment: 'dev' });
    expect([taken.status, taken.body.code]).toEqual([409, 'conflict']);
    expect(taken.body.detail).toBe('a region "eu-west" exists already, in the environment "prod"');
    expect(await outcome(app.call('GET', '/v1/regions/mars'))).toBe('404 not_found');
    expect(await outcome((await as(app, 'publisher'))('POST', '/v1/regions', { id: 'x', environment: 'prod' }))).toBe(
      '403 forbidden',
    );
  });

  it('are made once, however many ask at the same time', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => outcome(app.call('POST', '/v1/regions', { id: 'race', environment: 'prod' }))),
    );
    expect([...answers].sort()).toEqual(['201', ...Array.from({ length: 9 }, () => '409 conflict id')]);
  });

  it('are deleted with their join tokens, but not with replicas in them', async () => {
    const { token } = await good(app.call('POST', '/v1/join-tokens', { region: 'race' }));
    const { id } = await good(app.call('POST', '/v1/join-tokens', { region: 'race' }));
    const { replica } = await good(
      app.call('POST', '/v1/replicas/join', { token, region: 'race', environment: 'prod', build: '1' }),
    );
    const refused = await app.call('DELETE', '/v1/regions/race');
    expect([refused.status, refused.body.detail]).toEqual([
      409,
      'the region "race" has the replica "race-1"; delete that first',
    ]);
    await good(app.call('DELETE', `/v1/replicas/${replica}`));
    expect(await outcome(app.call('DELETE', '/v1/regions/race', undefined, { 'if-match': '"2"' }))).toBe(
      '412 precondition_failed',
    );
    expect(await outcome(app.call('DELETE', '/v1/regions/race', undefined, { 'if-match': '"1"' }))).toBe('204');
    expect(await outcome(app.call('GET', `/v1/join-tokens/${id}`))).toBe('404 not_found');
    expect(await outcome(app.call('DELETE', '/v1/regions/race'))).toBe('404 not_found');
  });
});
