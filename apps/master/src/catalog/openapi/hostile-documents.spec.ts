import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HelioError } from '#model';
import { canonicalJson } from '#platform';
import { importOpenApi } from './import-openapi.js';
import { importReport } from './import-report.js';

const HEAD = 'openapi: 3.0.3\ninfo: {title: x, version: "1"}\nservers: [{url: "https://a.example"}]\n';
const JSON_HEAD = '"openapi":"3.0.3","info":{"title":"a","version":"1"},"servers":[{"url":"https://a.example"}]';

function faultOf(document: string | object): { field?: string; problem?: string } {
  try {
    importOpenApi(document);
  } catch (error) {
    if (!(error instanceof HelioError)) throw error;
    expect(error.code).toBe('openapi_invalid');
    return error.fields[0] ?? {};
  }
  throw new Error('the document was accepted');
}

describe('keys that come twice', () => {
  it('are refused in JSON, where the first operation would be lost silently', () => {
    const text = '{"openapi":"3.0.3",\n"paths":{"/a":{"get":{}},\n"\\u002fa":{"post":{}}}}';
    expect(faultOf(text)).toEqual({ field: 'paths./a', problem: 'comes twice (line 3)' });
    expect(faultOf('{"a":[{"b\\\\":1,"c\\"":[],"b\\\\":2}]}')).toMatchObject({ field: 'a[0].b\\' });
  });

  it('are refused in YAML, in whatever way they are written', () => {
    expect(faultOf(`${HEAD}paths:\n  /a: {get: {}}\n  "/a": {post: {}}\n`)).toEqual({
      field: 'paths./a',
      problem: 'comes twice (line 6)',
    });
    expect(faultOf(`${HEAD}paths: {/a: {get: {responses: {200: {}, '200': {}}}}}\n`)).toMatchObject({
      field: 'paths./a.get.responses.200',
    });
  });

  it('may stand in different objects', () => {
    expect(
      importOpenApi(`{${JSON_HEAD},"paths":{"/a":{"get":{}},"/b":{"get":{}}},"x":[{"a":1},{"a":1}]}`).report.routes,
    ).toBe(2);
  });
});

describe('YAML', () => {
  const operation = '{get: {tags: [t], summary: s}}';

  it('has aliases that are the value itself, counted once', () => {
    const { definition, report } = importOpenApi(`${HEAD}paths:\n  /a: &a ${operation}\n  /b: *a\n`);
    expect(definition.routes.map(({ path }) => path)).toEqual(['/a', '/b']);
    expect(report.notUsed.map(({ what, count }) => [what, count])).toEqual([
      ['tags', 1],
      ['texts and contacts', 1],
    ]);
  });

  it('has aliases of maps that count once, too', () => {
    const yaml = `${HEAD}paths:\n  /a: {get: {responses: &r {200: {}}}}\n  /b: {get: {responses: *r}}\n`;
    expect(importOpenApi(yaml).report.notUsed).toMatchObject([{ what: 'responses', count: 1 }]);
  });

  it('cannot make billions of things of a few aliases', () => {
    const levels = Array.from(
      { length: 40 },
      (_, level) => `x${level}: &x${level} {a: *x${level - 1}, b: *x${level - 1}}`,
    );
    const bomb = `x-1: &x-1 {get: {}}\n${levels.join('\n')}\n`;
    const { report } = importOpenApi(
      `${bomb}${HEAD}paths:\n  /a: ${operation}\ncomponents: {pathItems: *x39, responses: *x39, examples: *x39}\n`,
    );
    expect(JSON.stringify(report).length).toBeLessThan(10_000);
  });

  it.each([
    ['too many aliases', `a: &a 1\nb: [${'*a,'.repeat(10_001)}]`, 'more than 10000 anchors, aliases and tags'],
    ['an alias of nothing', 'a: *b', 'alias *b'],
    ['an alias of what it is part of', 'a: &a {b: *a}', 'alias *a'],
    ['a tag of its own', 'a: !!js/function x', 'tag'],
    ['another tag of its own', 'a: !include x.yaml', 'tag'],
    ['a binary', 'a: !!binary aGk=', 'tag'],
    ['a merge key', 'a: &a {b: 1}\nc:\n  <<: *a', 'merge key'],
    ['a key that is a list', '? [a]\n: b', 'key'],
    ['a key inside of a key', '? '.repeat(50_000), 'key that is not plain text'],
    ['a second document', 'a: 1\n---\nb: 2', 'several documents'],
    ['many documents', '---\n'.repeat(100_000), 'several documents'],
    ['brackets that close nothing', `a: [${'}'.repeat(300_000)}`, 'closes nothing'],
    ['commas after nothing', `a: [${','.repeat(300_000)}`, 'follows nothing'],
    ['deep brackets', `a: ${'['.repeat(500_000)}`, 'nested more than 200 deep'],
    ['deep lists', '- '.repeat(100_000), 'nested too deeply'],
    ['a tab for indentation', 'a:\n\tb: 1', 'Tabs'],
    ['more tokens than an import may have', `a: [${'1,'.repeat(1_250_000)}]`, 'tokens of YAML'],
  ])('is refused with %s', (_name, text, problem) => {
    expect(faultOf(text).problem).toContain(problem);
  });

  it('keeps to YAML 1.2, where no and 010 are not false and 8', () => {
    const { definition } = importOpenApi(
      `%YAML 1.1\n---\n${HEAD.replace('title: x', 'title: no')}paths:\n  /010:\n    get: {operationId: on}\n`,
    );
    expect(definition).toMatchObject({ name: 'no', routes: [{ path: '/010', id: 'on' }] });
  });
});

describe('JSON', () => {
  it('may be nested as deep as it likes where nothing is used', () => {
    const deep = `${'{"a":['.repeat(200_000)}1${']}'.repeat(200_000)}`;
    const text = `{${JSON_HEAD},"paths":{"/a":{"get":{"x":${deep}}}}}`;
    expect(importOpenApi(text).report.routes).toBe(1);
  });

  it('cannot bring half surrogate pairs into the definition or the report', () => {
    const half = '\\ud800';
    const text = `{"openapi":"3.0.3","info":{"title":"a${half}","version":"1"},"servers":[{"url":"https://a.example"}],"paths":{"/a":{"get":{"operationId":"${half}","${half}":1}}}}`;
    const { definition, report } = importOpenApi(text);
    expect(canonicalJson({ definition, report })).toContain('"/a"');
  });
});

describe.each([
  ['JSON', ''],
  ['YAML', '# JSON is YAML too\n'],
])('%s', (_kind, begin) => {
  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('may have %s as a key like any other', (key) => {
    const item = `{"get":{"operationId":"${key}","responses":{"${key}":{}}},"${key}":{"get":{}}}`;
    const components = `{"${key}":1,"pathItems":{"${key}":{}}}`;
    const text = `{"${key}":{"paths":{}},${JSON_HEAD},"paths":{"/${key}/{${key}}":${item}},"components":${components}}`;
    const { definition, report } = importOpenApi(begin + text);
    expect(definition.routes).toEqual([{ method: 'GET', path: `/${key}/{${key}}`, id: key }]);
    expect(importReport.parse(report)).toEqual(report);
    expect(report.notUsed.map(({ what, count }) => [what, count])).toEqual([
      ['unused path items', 1],
      ['responses', 1],
      ['other fields', 3],
    ]);
    expect(faultOf(`${begin}{${JSON_HEAD},"paths":{"${key}":{"get":{}},"/a":{"get":{}}}}`).field).toBe(`paths.${key}`);
    expect(({} as Record<string, unknown>).paths).toBeUndefined();
  });
});

describe('any input', () => {
  const part = fc.oneof(
    { depthSize: 'small' },
    fc.jsonValue(),
    fc.constantFrom(
      '/a',
      '#/paths/~1a',
      '#',
      '/{x}.{y}',
      'https://a.example',
      '3.0.3',
      '__proto__',
      'x-a',
      [],
      {},
      null,
      '',
    ),
  );
  const mostly = (usual: fc.Arbitrary<unknown>, odd: fc.Arbitrary<unknown> = part) =>
    fc.oneof({ weight: 30, arbitrary: usual }, { weight: 1, arbitrary: odd });
  const security = fc.constantFrom([], [{}], [{ a: ['b'] }], [{ a: [] }, {}]);
  const schemes = fc.dictionary(fc.string(), fc.record({ type: fc.constant('apiKey'), in: part, name: part }));
  const operation = fc.record(
    {
      operationId: mostly(fc.constantFrom('a', 'b')),
      security: mostly(security),
      tags: part,
      responses: part,
      servers: part,
    },
    { requiredKeys: [] },
  );
  const methods = fc.constantFrom('get', 'post', 'trace', 'parameters', 'summary', 'x-get', '__proto__');
  const ref = fc
    .constantFrom('#/paths/~1a', '#/components/pathItems/i', '#/components/pathItems/j')
    .map(($ref) => ({ $ref }));
  const item = fc.oneof(
    { weight: 8, arbitrary: fc.dictionary(methods, mostly(operation), { maxKeys: 3 }) },
    { weight: 1, arbitrary: ref },
  );
  const keys = fc.constantFrom('/', '/a', '/{x}', '/{y}', '/{x}.y', '/é/{z}', '/a?b', '/a#c', '/%', '/b/*', 'x-a');
  const server = fc.constantFrom({ url: 'https://a.example/{b}', variables: { b: { default: 'c' } } }, { url: '/' });
  const documents = fc.record(
    {
      openapi: mostly(fc.constantFrom('3.0.3', '3.1.0')),
      info: mostly(fc.constant({ title: 'Any', version: '1' }), fc.record({ title: part, version: part })),
      servers: mostly(fc.array(server), fc.array(fc.record({ url: part, variables: part }))),
      paths: mostly(fc.dictionary(mostly(keys, fc.string()) as fc.Arbitrary<string>, mostly(item))),
      components: mostly(fc.record({ pathItems: fc.record({ i: item, j: item }), securitySchemes: mostly(schemes) })),
      security: mostly(security),
      tags: part,
      webhooks: part,
    },
    { requiredKeys: ['openapi', 'info', 'paths'] },
  );
  const upstream = { targets: [{ url: 'https://up.example' }] };

  const importOrFault = (document: string | Uint8Array | object): void => {
    try {
      importOpenApi(document);
    } catch (error) {
      if (!(error instanceof HelioError)) throw error;
    }
  };

  /** @returns whether it was accepted */
  const attempt = (document: string | object): boolean => {
    try {
      const { definition, report } = importOpenApi(document, { upstream });
      expect(importReport.parse(report)).toEqual(report);
      expect(report.routes).toBe(definition.routes.length);
      expect(report.routes + report.merged.count).toBe(report.operations);
      const again = importOpenApi(JSON.stringify(document), { upstream });
      expect(canonicalJson(again.definition)).toBe(canonicalJson(definition));
      return true;
    } catch (error) {
      if (!(error instanceof HelioError)) throw error;
      expect(error.fields.length).toBeGreaterThan(0);
      return false;
    }
  };

  it('gives a definition or an error that names places, and nothing else', () => {
    let accepted = 0;
    const runs = 2000;
    fc.assert(
      fc.property(documents, (document) => void (attempt(document) && (accepted += 1))),
      { numRuns: runs },
    );
    expect(accepted).toBeGreaterThan(runs / 5);
    expect(accepted).toBeLessThan(runs);
    fc.assert(
      fc.property(documents, (document) => void importOrFault(document)),
      { numRuns: 1000 },
    );
    fc.assert(
      fc.property(fc.jsonValue(), (value) => void importOrFault(JSON.stringify(value))),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => void importOrFault(bytes)),
      { numRuns: 500 },
    );
  });

  it('may be any pieces of YAML', () => {
    const piece = fc.constantFrom(
      'a',
      'b: ',
      '- ',
      '? ',
      ': ',
      '\n',
      '\n  ',
      '{',
      '}',
      '[',
      ']',
      ',',
      '&a ',
      '*a',
      '!!str ',
      '!!int ',
      '!x ',
      '|\n',
      '>',
      '"',
      "'",
      '#',
      '%YAML 1.1\n',
      '---\n',
      '<<: ',
      '1',
      '~',
      '\t',
      '\r\n',
      '\\',
      '\ud800',
      '__proto__: ',
      '.nan',
      '*a : ',
      HEAD,
      'paths:\n',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => importOrFault(pieces.join(''))),
      { numRuns: 5000 },
    );
  });
});
