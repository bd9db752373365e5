import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freshDatabase, type Master, startMaster } from '#harness';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OPERATIONS } from '../../apps/cli/src/api/operations.js';

interface Described {
  tags: string[];
  responses: Record<string, { content?: Record<string, { schema: { properties?: object } }> }>;
}

describe("the master's OpenAPI document", () => {
  let master: Master;
  let paths: Record<string, Record<string, Described>>;

  beforeAll(async () => {
    const { url } = await freshDatabase();
    master = await startMaster({ database: url, store: `file://${mkdtempSync(join(tmpdir(), 'heliograph-'))}/store` });
    paths = (await master.client.get('/openapi.json')).body.paths;
  });
  afterAll(() => master?.stop());

  it('describes what the command line was made from', () => {
    const notForPeople = /^(OAuth|replicas \/v1\/(chain\/|replicas\/(join|status|usage)$))/;
    const keys = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([, { tags }]) => !notForPeople.test(`${tags.join()} ${path}`))
        .map(([method]) => `${method.toUpperCase()} ${path}`),
    );
    expect(keys.toSorted()).toEqual(Object.keys(OPERATIONS).toSorted());
  });

  it("describes OAuth's endpoints as they answer", async () => {
    const { client } = master;
    await client.post('/v1/environments', { id: 'prod', position: 1 });
    const { body: app } = await client.post('/v1/applications', { name: 'crm', owner: 'sales' });
    const { body: made } = await client.post(`/v1/applications/${app.id}/clients`, {
      environment: 'prod',
      name: 'sync',
    });
    const authorization = `Basic ${Buffer.from(`${made.id}:${made.secret}`).toString('base64')}`;
    const send = (path: string, form?: Record<string, string>, headers: Record<string, string> = { authorization }) =>
      fetch(`${master.url}${path}`, form ? { method: 'POST', body: new URLSearchParams(form), headers } : {});
    const isDescribed = async (path: string, answer: Response): Promise<Record<string, string>> => {
      const [operation] = Object.values(paths[path] ?? {});
      const type = answer.headers.get('content-type')?.split(';')[0] ?? '';
      const schema = operation?.responses[answer.status]?.content?.[type]?.schema;
      const body = (await answer.json()) as Record<string, string>;
      expect(schema, `${path} ${answer.status} ${type}`).toBeDefined();
      if (schema?.properties && path.startsWith('/oauth') && answer.ok)
        expect(Object.keys(schema.properties), path).toEqual(expect.arrayContaining(Object.keys(body)));
      return body;
    };

    const { access_token: token = '' } = await isDescribed(
      '/oauth/token',
      await send('/oauth/token', { grant_type: 'client_credentials' }),
    );
    expect(token).not.toBe('');
    await isDescribed('/oauth/introspect', await send('/oauth/introspect', { token }));
    await isDescribed('/oauth/revoke', await send('/oauth/revoke', { token }));
    await isDescribed('/oauth/token', await send('/oauth/token', { grant_type: 'password' }));
    await isDescribed('/oauth/token', await send('/oauth/token', { grant_type: 'client_credentials' }, {}));
    for (const path of ['/.well-known/oauth-authorization-server', '/.well-known/jwks.json'])
      await isDescribed(path, await send(path));
  });
});
