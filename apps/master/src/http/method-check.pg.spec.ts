import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type StartedApp, startApp } from '../testing/start-app.js';

let app: StartedApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app?.stop());

describe('a request that no route is for', () => {
  it.each([
    ['DELETE', '/v1/plans', 'GET, HEAD, POST'],
    ['POST', '/v1/applications/7b1f1f6e-30a5-4f3c-8f4a-0d9a5a0a7c11?x=1', 'DELETE, GET, HEAD, PATCH'],
    ['PUT', '/v1/environments/prod/revisions/12', 'GET, HEAD'],
    ['POST', '/livez', 'GET, HEAD'],
  ])('is told which methods the path is there for: %s %s', async (method, path, allow) => {
    const answer = await app.call(method, path);
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe(allow);
    expect(answer.body).toMatchObject({ code: 'method_not_allowed', instance: path.split('?')[0] });
    expect(answer.body.detail).toContain(`for ${allow} only`);
  });

  it.each([
    ['GET', '/v1/nothing'],
    ['POST', '/v1/plans/gold/more'],
    ['GET', '/v1'],
  ])('finds nothing where the path is there for no method: %s %s', async (method, path) => {
    const answer = await app.call(method, path);
    expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    expect(answer.headers.get('allow')).toBeNull();
  });
});
