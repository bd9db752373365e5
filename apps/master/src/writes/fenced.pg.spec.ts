import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { headName } from '#artifacts';
import { until } from '#harness';
import { good } from '../testing/answers.js';
import { type CallAnswer, type StartedApp, startApp } from '../testing/start-app.js';

let app: StartedApp;
beforeAll(async () => {
  app = await startApp();
  await good(app.call('POST', '/v1/environments', { id: 'prod', position: 1 }));
  await good(app.call('POST', '/v1/plans', { id: 'first' }));
  // a fence is lifted where the store has no head that would speak for it
  await until(() => existsSync(join(app.storeDirectory, headName('prod'))), { what: 'the head in the store' });
});
afterAll(() => app?.stop());

const FENCE = {
  reason: 'replaced',
  epoch: 1,
  revision: 9,
  hash: 'a'.repeat(64),
  keyId: 'b'.repeat(16),
  firstDifferent: null,
  since: '2026-01-01T00:00:00.000Z',
  detail: 'another master has written a head',
};

/** Sends requests while nothing can be published, and lets this master be replaced before anything is. */
async function replacedDuring(...requests: (() => Promise<CallAnswer>)[]): Promise<CallAnswer[]> {
  const runner = app.source.createQueryRunner();
  await runner.startTransaction();
  await runner.query(`SELECT FROM chain WHERE environment_id = 'prod' FOR UPDATE`);
  const answers = requests.map((request) => request());
  const committed = async (): Promise<boolean> =>
    (await app.source.query(`SELECT FROM plan WHERE id = 'gold'`)).length > 0 &&
    (await app.source.query(`SELECT FROM api WHERE name = 'weather'`)).length > 0;
  await until(committed, { what: 'the writes to be committed' });
  await runner.query(`UPDATE chain SET epoch = epoch + 1, fence = $1`, [JSON.stringify(FENCE)]);
  await runner.commitTransaction();
  await runner.release();
  return Promise.all(answers);
}

describe('a write that was committed just before its master was replaced', () => {
  it('R10 is not answered as if it were done, unless it is of no chain', async () => {
    const [plan, api] = await replacedDuring(
      () => app.call('POST', '/v1/plans', { id: 'gold' }, { 'idempotency-key': 'one-and-the-same' }),
      () => app.call('POST', '/v1/apis', { name: 'weather', version: 'v1' }),
    );
    expect(plan?.status).toBe(503);
    expect(plan?.body).toMatchObject({ code: 'fenced_off', detail: expect.stringContaining('was committed') });
    expect(plan?.headers.get('heliograph-revision')).toBeNull();
    expect(api?.status).toBe(201);
    expect(api?.headers.get('heliograph-revision')).toBeNull();
    const next = await app.call('POST', '/v1/plans', { id: 'silver' });
    expect(next.body).toMatchObject({ code: 'fenced_off', detail: expect.stringContaining('nothing was written') });
  });
});
