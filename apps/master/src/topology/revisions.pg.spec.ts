import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { as, good, outcome, pages } from '../testing/answers.js';
import { type CallAnswer, type StartedApp, startApp } from '../testing/start-app.js';

let app: StartedApp;
beforeAll(async () => {
  app = await startApp();
  await good(app.call('POST', '/v1/environments', { id: 'prod', position: 1 }));
});
afterAll(() => app?.stop());

const HEX = /^[0-9a-f]{64}$/;
const revisionOf = (answer: CallAnswer): number =>
  Number(/prod@(\d+)/.exec(answer.headers.get('heliograph-revision') ?? '')?.[1]);

describe('revisions', () => {
  it('begin at nothing', async () => {
    expect(await good(app.call('GET', '/v1/environments/prod/head'))).toMatchObject({
      environment: 'prod',
      revision: 0,
      root: null,
    });
    expect(await good(app.call('GET', '/v1/environments/prod/revisions'))).toEqual({ items: [], next: null });
    const none = await app.call('GET', '/v1/environments/prod/revisions/1');
    expect([none.status, none.body.detail]).toEqual([404, '"prod" has no revision 1; it is at 0']);
  });

  it('say what they change, and follow one another', async () => {
    const numbers: number[] = [];
    for (const limit of [1, 2, 3]) {
      const answer = await app.call('POST', '/v1/plans', { id: `plan-${limit}`, rate: { limit, per: 'second' } });
      numbers.push(revisionOf(answer));
    }
    expect(numbers).toEqual([1, 2, 3]);
    const [one, two] = [
      await good(app.call('GET', '/v1/environments/prod/revisions/1')),
      await good(app.call('GET', '/v1/environments/prod/revisions/2')),
    ];
    expect(two).toMatchObject({ environment: 'prod', revision: 2, ops: 1, minReader: 1, previous: one.hash });
    expect([two.hash, two.root, two.keyId, two.issuedAt]).toEqual([
      expect.stringMatching(HEX),
      expect.stringMatching(HEX),
      expect.stringMatching(/^[0-9a-f]{16}$/),
      expect.stringMatching(/Z$/),
    ]);
    expect(two.changes).toEqual([
      { op: 'put', table: 'plan', key: 'plan-2', value: { rate: { limit: 2, per: 'second' }, quota: null } },
    ]);
    const head = await good(app.call('GET', '/v1/environments/prod/head'));
    const last = await good(app.call('GET', '/v1/environments/prod/revisions/3'));
    expect(head).toMatchObject({ revision: 3, hash: last.hash, root: last.root, epoch: last.epoch });
  });

  it('are listed the newest first, in pages', async () => {
    for (const limit of [1, 2, 200]) {
      expect((await pages(app, '/v1/environments/prod/revisions', limit)).map((one) => one.revision)).toEqual([
        3, 2, 1,
      ]);
    }
  });

  it('are refused for what is not there or not well formed', async () => {
    expect(await outcome(app.call('GET', '/v1/environments/nowhere/head'))).toBe('404 not_found');
    expect(await outcome(app.call('GET', '/v1/environments/nowhere/revisions'))).toBe('404 not_found');
    expect(await outcome(app.call('GET', '/v1/environments/nowhere/revisions/1'))).toBe('404 not_found');
    expect(await outcome(app.call('GET', '/v1/environments/prod/revisions/4'))).toBe('404 not_found');
    for (const number of ['0', '-1', '1.5', 'one', '99999999999999999999']) {
      expect(await outcome(app.call('GET', `/v1/environments/prod/revisions/${number}`))).toBe(
        '400 invalid_request revision',
      );
    }
    const cursor = Buffer.from('["x"]').toString('base64url');
    expect(await outcome(app.call('GET', `/v1/environments/prod/revisions?cursor=${cursor}`))).toBe(
      '400 invalid_request cursor',
    );
    expect(await outcome((await as(app, 'viewer'))('GET', '/v1/environments/prod/head'))).toBe('200');
  });
});
