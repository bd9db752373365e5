import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { definition, HelioError, parseTemplate, type Route } from '#model';
import { canonicalJson } from '#platform';
import { importOpenApi } from './import-openapi.js';
import { importReport } from './import-report.js';

const GITHUB = 'node_modules/@octokit/openapi/generated/api.github.com.json';
const EXAMPLES = 'node_modules/@readme/oas-examples';
const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];

type Item = Record<string, { operationId?: string } & string>;

/** Each operation that the document writes itself, with a path as a client would send it. */
function callsOf(document: { paths: Record<string, Item> }): { method: string; path: string; id?: string }[] {
  return Object.entries(document.paths).flatMap(([key, item]) =>
    METHODS.filter((method) => item[method] !== undefined).map((method) => ({
      method: method.toUpperCase(),
      path: encodeURI(key.replace(/[?#].*/, '').replace(/\{[^}]+\}/g, 'a-value')),
      id: item[method]?.operationId,
    })),
  );
}

/**
 * The route of a request, fixed text before parameters before the rest: written anew here, so that it shares no
 * mistake.
 */
function routeFor(routes: Route[], method: string, path: string): Route | undefined {
  const segments = path.slice(1).split('/');
  const rank = (route: Route): string | undefined => {
    const parsed = parseTemplate(route.path);
    if (!parsed.ok || route.method !== method) return undefined;
    const { parts } = parsed;
    if (parts.length === 0) return path === '/' ? '' : undefined;
    const rest = parts.at(-1)?.kind === 'rest';
    if (rest ? segments.length < parts.length - 1 : segments.length !== parts.length) return undefined;
    const fits = parts.every((part, index) => part.kind !== 'fixed' || part.text === segments[index]);
    return fits ? parts.map((part) => ({ fixed: 0, param: 1, rest: 2 })[part.kind]).join('') : undefined;
  };
  return routes
    .map((route) => ({ route, rank: rank(route) }))
    .filter((each) => each.rank !== undefined)
    .sort((a, b) => (a.rank! < b.rank! ? -1 : 1))[0]?.route;
}

function examples(version: string, kind: string): string[] {
  const directory = join(EXAMPLES, version, kind);
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith(`.${kind}`))
    .map((file) => join(directory, file))
    .sort();
}

describe("GitHub's document", () => {
  const text = readFileSync(GITHUB, 'utf8');
  const { definition: made, report } = importOpenApi(text);

  it('has a route that matches for every one of its operations', () => {
    const calls = callsOf(JSON.parse(text));
    expect(calls.length).toBeGreaterThan(1000);
    expect(report.operations).toBe(calls.length);
    const merged = new Set(['repos/compare-commits']);
    const wrong = calls.filter(
      ({ method, path, id }) => routeFor(made.routes, method, path)?.id !== id && !merged.has(id ?? ''),
    );
    expect(wrong).toEqual([]);
    expect(routeFor(made.routes, 'GET', '/repos/o/r/compare/main...dev')).toBeDefined();
  });

  it('is widened and merged in one place only: the comparison of two commits', () => {
    expect(report.widened.first.map(({ path }) => path)).toEqual(['/repos/{owner}/{repo}/compare/{base...head}']);
    expect(report.merged.first.map(({ route }) => route)).toEqual(['GET /repos/{owner}/{repo}/compare/{basehead}']);
    expect(report.routes).toBe(report.operations - 1);
  });

  it('gives the same bytes again, from bytes too', () => {
    const again = importOpenApi(Buffer.from(text));
    expect(canonicalJson(again.definition)).toBe(canonicalJson(made));
    expect(again.report).toEqual(report);
  });

  it('tells of the operation that has another server', () => {
    expect(report.notUsed).toContainEqual(
      expect.objectContaining({ what: 'servers of paths and operations', count: 1 }),
    );
  });
});

describe('examples of other people', () => {
  const files = ['3.0', '3.1'].flatMap((version) => ['json', 'yaml'].flatMap((kind) => examples(version, kind)));
  const withoutOperations = /webhooks|workshop\/title/;
  const withoutServer = /3\.0\/\w+\/(?:callbacks|link-example)\./;
  /** its two versions have other methods for two of the paths */
  const differs = /3\.1\/\w+\/parameters-style\./;
  const upstream = { targets: [{ url: 'https://up.example.com' }] };

  it('are many', () => {
    expect(files.length).toBeGreaterThan(100);
  });

  it.each(files.filter((file) => !withoutOperations.test(file)))(
    '%s makes a definition with a route for each operation',
    (file) => {
      const bytes = readFileSync(file);
      const { definition: made, report } = importOpenApi(bytes, withoutServer.test(file) ? { upstream } : {});
      expect(definition.parse(made)).toEqual(made);
      expect(importReport.parse(report)).toEqual(report);
      expect(report.routes).toBe(report.operations - report.merged.count);
      expect(report.routes).toBe(made.routes.length);
      const read = parse(bytes.toString());
      for (const { method, path } of callsOf(read))
        expect(routeFor(made.routes, method, path), `${method} ${path}`).toBeDefined();
    },
  );

  it.each(files.filter((file) => file.endsWith('.yaml') && !withoutOperations.test(file) && !differs.test(file)))(
    '%s gives what its JSON gives',
    (file) => {
      const [yaml, json] = [file, file.replaceAll('yaml', 'json')].map((each) =>
        importOpenApi(readFileSync(each), { upstream }),
      );
      expect(canonicalJson(yaml?.definition)).toBe(canonicalJson(json?.definition));
    },
  );

  it.each(files.filter((file) => withoutOperations.test(file)))('%s has nothing to route, and is told so', (file) => {
    expect(() => importOpenApi(readFileSync(file), { upstream })).toThrow(HelioError);
    expect(() => importOpenApi(readFileSync(file), { upstream })).toThrow(
      expect.objectContaining({ code: 'openapi_invalid', fields: [expect.objectContaining({ field: 'paths' })] }),
    );
  });

  it.each(['json', 'yaml'].flatMap((kind) => examples('2.0', kind)))(
    '%s is Swagger 2.0, and the error says how to go on',
    (file) => {
      expect(() => importOpenApi(readFileSync(file))).toThrow(
        expect.objectContaining({
          code: 'openapi_invalid',
          fields: [expect.objectContaining({ field: 'swagger', problem: 'is the text "2.0"' })],
        }),
      );
    },
  );
});
