import { describe, expect, it } from 'vitest';
import { HelioError } from '#model';
import { importOpenApi, type ImportOverrides } from './import-openapi.js';

const OP = { responses: {} };

function doc(more: object = {}): object {
  return {
    openapi: '3.1.0',
    info: { title: 'Weather', version: '2.3.4' },
    servers: [{ url: 'https://up.example.com' }],
    paths: { '/today': { get: OP } },
    ...more,
  };
}

function errorOf(document: string | Uint8Array | object, overrides: ImportOverrides = {}): HelioError {
  try {
    importOpenApi(document, overrides);
  } catch (error) {
    if (error instanceof HelioError) return error;
    throw error;
  }
  throw new Error('the document was accepted');
}

describe('a document that cannot be used', () => {
  it.each<[string, string | Uint8Array | object, string, string]>([
    ['Swagger 2.0', { swagger: '2.0', paths: {} }, 'swagger', 'swagger2openapi'],
    ['Swagger 1.2', { swaggerVersion: '1.2' }, 'swagger', '"1.2"'],
    ['OpenAPI 3.2', doc({ openapi: '3.2.0' }), 'openapi', '"3.2.0"'],
    ['OpenAPI 4', doc({ openapi: '4.0.0' }), 'openapi', '3.0.x or 3.1.x'],
    ['a version that YAML made a number of', 'openapi: 3.1\npaths: {}', 'openapi', 'the number 3.1'],
    ['AsyncAPI', { asyncapi: '3.0.0' }, 'openapi', 'AsyncAPI'],
    ['something else', { hello: 1 }, 'openapi', 'is missing'],
    ['nothing', '', '(whole)', 'is empty'],
    ['blanks', ' \n ', '(whole)', 'is empty'],
    ['a comment', '# later\n', '(whole)', 'is empty'],
    ['a text', 'hello', '(whole)', 'the text "hello"'],
    ['a number', '7', '(whole)', 'the number 7'],
    ['a list', '[{"openapi":"3.1.0"}]', '(whole)', 'a list'],
    ['a list that was parsed', [], '(whole)', 'a list'],
    ['YAML that would hold up everybody else', `# ${'x'.repeat(4 * 1024 * 1024)}`, '(whole)', 'YAML of more than'],
    ['HTML', '<!doctype html><title>Sign in</title>', '(whole)', 'HTML'],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0xfe]), '(whole)', 'UTF-8'],
    ['JSON with a mistake', '{\n"openapi": "3.1.0"\n"info": {}}', '(whole)', '(line 3)'],
    ['JSON cut short', '{"openapi": "3.1.0"', '(whole)', 'not JSON'],
    ['YAML with a mistake', 'openapi: 3.1.0\ninfo: {title: x\npaths: y: z', 'line 3', ''],
    [
      'no paths',
      { openapi: '3.1.0', info: { title: 'x', version: '1' }, servers: [{ url: 'https://a.example' }] },
      'paths',
      'is missing',
    ],
    ['webhooks alone', doc({ paths: undefined, webhooks: {} }), 'paths', 'webhooks alone'],
    ['paths that are a list', doc({ paths: [] }), 'paths', 'a list'],
    ['paths without operations', doc({ paths: { '/a': {}, 'x-b': {} } }), 'paths', 'no operations'],
    ['a path without a slash', doc({ paths: { pets: { get: OP } } }), 'paths.pets', 'begin with /'],
    ['an empty path item', doc({ paths: { '/a': null } }), 'paths./a', 'is empty'],
    ['an empty operation', doc({ paths: { '/a': { get: null } } }), 'paths./a.get', 'is empty'],
    ['a method in upper case', doc({ paths: { '/a': { GET: OP } } }), 'paths./a.GET', 'upper case'],
    ['an operation by reference', doc({ paths: { '/a': { get: { $ref: '#/x' } } } }), 'paths./a.get', '$ref'],
  ])('is refused with its place: %s', (_name, document, field, text) => {
    const error = errorOf(document);
    expect(error.code).toBe('openapi_invalid');
    expect(error.fields).toHaveLength(1);
    expect(error.fields[0]?.field).toBe(field);
    expect(`${error.fields[0]?.problem} ${error.fields[0]?.expected}`).toContain(text);
  });

  it('is refused with all that is wrong with it, and the lines', () => {
    const yaml = 'openapi: 3.1.0\ninfo: {}\npaths:\n  /a/{b:\n    get: {}\n  /c:\n    get:\n';
    const json =
      '{"openapi":"3.1.0","info":{},"servers":[{"url":"/x"}],\n"paths":{"/a/{b":{\n"get":{}},\n"/c":{\n"get":null}}}';
    expect(errorOf(yaml).fields.map(({ field, problem }) => [field, /line \d+/.exec(problem)?.[0]])).toEqual([
      ['paths./a/{b', 'line 4'],
      ['paths./c.get', 'line 7'],
      ['servers', undefined],
      ['info.title', 'line 2'],
      ['info.version', 'line 2'],
    ]);
    expect(errorOf(json).fields.map(({ field, problem }) => [field, /line \d+/.exec(problem)?.[0]])).toEqual([
      ['paths./a/{b', 'line 2'],
      ['paths./c.get', 'line 5'],
      ['servers[0].url', 'line 1'],
      ['info.title', 'line 1'],
      ['info.version', 'line 1'],
    ]);
  });

  it('names at most fifty places, and how many there are', () => {
    const paths = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`bad${index}`, {}]));
    const error = errorOf(doc({ paths }));
    expect(error.fields).toHaveLength(50);
    expect(error.detail).toContain('200');
  });

  it('is refused with 5001 routes and accepted with 5000', () => {
    const paths: Record<string, unknown> = {};
    for (let i = 0; i < 5000; i += 1) paths[`/r${i}`] = { get: OP };
    expect(importOpenApi(doc({ paths })).report.routes).toBe(5000);
    paths['/one-more'] = { get: OP };
    expect(errorOf(doc({ paths })).fields).toEqual([
      expect.objectContaining({ field: 'paths', problem: 'gives 5001 routes' }),
    ]);
  });

  it('is told apart from faulty fields beside it', () => {
    const error = errorOf(doc(), { name: 'Not A Name', plans: ['gold', 'gold'] });
    expect(error.code).toBe('definition_invalid');
    expect(error.fields.map(({ field }) => field)).toContain('name');
  });
});
