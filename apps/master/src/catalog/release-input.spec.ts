import { describe, expect, it } from 'vitest';
import { faultsOf } from '#platform';
import { createDocument } from 'zod-openapi';
import { documentQuery, releaseBody, releaseInputOf } from './release-input.js';

function faults(body: unknown): string[] {
  const parsed = releaseBody.safeParse(body);
  return parsed.success ? [] : faultsOf(parsed.error).map((fault) => `${fault.field}: ${fault.problem}`);
}

describe('the body of a new release', () => {
  it('is a definition, or an OpenAPI document as an object or text, with or without overrides', () => {
    expect(faults({ definition: {} })).toEqual([]);
    expect(faults({ openapi: {} })).toEqual([]);
    expect(faults({ openapi: 'openapi: 3.0.0', overrides: { plans: ['gold'] } })).toEqual([]);
    expect(faults(Buffer.from('openapi: 3.0.0'))).toEqual([]);
  });

  it('is refused with the place of what is wrong', () => {
    expect(faults(undefined)).toEqual(['(whole): must be an object with either definition or openapi']);
    expect(faults([])).toEqual(['(whole): must be an object with either definition or openapi']);
    expect(faults({})).toEqual(['definition: is missing; openapi may stand in its place']);
    expect(faults({ definition: {}, openapi: {} })).toEqual(['definition: stands beside openapi; send one of the two']);
    expect(faults({ definition: {}, overrides: {} })).toEqual([
      'overrides: go with openapi; write the fields into the definition',
    ]);
    expect(faults({ definition: 'name: weather' })).toEqual(['definition: must be the definition, an object']);
    expect(faults({ definition: [] })).toEqual(['definition: must be the definition, an object']);
    expect(faults({ openapi: 3 })).toEqual(['openapi: must be an OpenAPI document: an object, or its text']);
    expect(faults({ openapi: {}, overrides: { routes: [] } })).toEqual(['overrides.routes: is not a known field']);
    expect(faults({ openapi: {}, overrides: { upstream: { targets: [{ url: 'ftp://x' }] } } })[0]).toMatch(
      /^overrides\.upstream\.targets\[0\]\.url: must be an http/,
    );
    expect(faults({ definition: {}, comment: 1 })).toEqual(['comment: is not a known field']);
    expect(faults({ definiton: {} })[0]).toBe('definiton: is not a known field');
  });

  it('may be the document itself as JSON: then the query has the overrides', () => {
    const body = releaseBody.parse({ openapi: '3.1.0', info: { title: 'x' }, paths: {} });
    const query = documentQuery.parse({ plans: 'gold' });
    expect(releaseInputOf(body, query)).toEqual({
      kind: 'openapi',
      document: { openapi: '3.1.0', info: { title: 'x' }, paths: {} },
      overrides: { plans: ['gold'] },
      at: '',
    });
  });

  it('takes overrides from the query only for a document that is itself the body', () => {
    const query = documentQuery.parse({ upstream: 'http://weather:8080', plans: 'bronze,gold', security: 'open' });
    expect(releaseInputOf(Buffer.from('x'), query)).toMatchObject({
      kind: 'openapi',
      overrides: {
        upstream: { targets: [{ url: 'http://weather:8080' }] },
        plans: ['bronze', 'gold'],
        security: 'open',
      },
    });
    expect(() => releaseInputOf({ openapi: {} }, query)).toThrow('upstream: goes into the body');
    expect(documentQuery.safeParse({ upstream: 'weather:8080' }).error?.issues[0]?.path).toEqual([
      'upstream',
      'targets',
      0,
      'url',
    ]);
    expect(documentQuery.safeParse({ plans: 'gold,' }).success).toBe(false);
  });

  it('is documented as its JSON, without the bytes', () => {
    const document = createDocument({
      openapi: '3.1.0',
      info: { title: 'x', version: '1' },
      paths: {
        '/x': { post: { requestBody: { content: { 'application/json': { schema: releaseBody } } }, responses: {} } },
      },
    });
    const schema = document.paths?.['/x']?.post?.requestBody as {
      content: Record<string, { schema: { properties?: object } }>;
    };
    expect(Object.keys(schema.content['application/json']?.schema.properties ?? {})).toEqual([
      'definition',
      'openapi',
      'overrides',
    ]);
  });
});
