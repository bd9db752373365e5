import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTemplate, type TemplatePart, templateShape } from '#model';
import { RouteTree } from './route-tree.js';

function partsOf(template: string): TemplatePart[] {
  const parsed = parseTemplate(template);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.parts;
}

function treeOf(routes: string[]): RouteTree<string> {
  const tree = new RouteTree<string>();
  for (const route of routes) {
    const [method = '', path = ''] = route.split(' ');
    tree.add(method, partsOf(path), route);
  }
  return tree;
}

const segmentsOf = (path: string): string[] => (path === '' ? [] : path.slice(1).split('/'));
const find = (routes: string[], request: string): string | null => {
  const [method = '', path = ''] = request.split(' ');
  return treeOf(routes).find(segmentsOf(path), 0, method);
};

describe('RouteTree', () => {
  it('prefers fixed text to a parameter and a parameter to the rest', () => {
    const routes = ['GET /users/me', 'GET /users/{id}', 'GET /users/*', 'GET /*'];
    expect(find(routes, 'GET /users/me')).toBe('GET /users/me');
    expect(find(routes, 'GET /users/7')).toBe('GET /users/{id}');
    expect(find(routes, 'GET /users/7/x')).toBe('GET /users/*');
    expect(find(routes, 'GET /other/x')).toBe('GET /*');
  });

  it('comes back from a branch that ends nowhere', () => {
    const routes = ['GET /a/{x}/c/d', 'GET /a/b/c/e', 'GET /{w}/b/c/f', 'GET /a/*'];
    expect(find(routes, 'GET /a/b/c/d')).toBe('GET /a/{x}/c/d');
    expect(find(routes, 'GET /a/b/c/e')).toBe('GET /a/b/c/e');
    expect(find(routes, 'GET /a/b/c/f')).toBe('GET /a/*');
    expect(find(routes, 'GET /z/b/c/f')).toBe('GET /{w}/b/c/f');
    expect(find(routes, 'GET /z/b/c/g')).toBeNull();
  });

  it('goes on to a less exact path where the exact one has not got the method', () => {
    const routes = ['GET /users/me', 'PATCH /users/{id}', '* /users/*'];
    expect(find(routes, 'PATCH /users/me')).toBe('PATCH /users/{id}');
    expect(find(routes, 'PUT /users/me')).toBe('* /users/*');
  });

  it('serves HEAD by GET unless HEAD has a route of its own, and any method by *', () => {
    expect(find(['GET /a', '* /a'], 'HEAD /a')).toBe('GET /a');
    expect(find(['GET /a', 'HEAD /a'], 'HEAD /a')).toBe('HEAD /a');
    expect(find(['POST /a'], 'HEAD /a')).toBeNull();
    expect(find(['* /a'], 'PROPFIND /a')).toBe('* /a');
  });

  it('takes the rest with no segment at all, and a trailing slash for a segment of its own', () => {
    expect(find(['GET /files/*'], 'GET /files')).toBe('GET /files/*');
    expect(find(['GET /files/*'], 'GET /files/')).toBe('GET /files/*');
    expect(find(['GET /files/*', 'GET /files'], 'GET /files')).toBe('GET /files');
    expect(find(['GET /files'], 'GET /files/')).toBeNull();
    expect(find(['GET /files/'], 'GET /files')).toBeNull();
    expect(find(['GET /files/'], 'GET /files/')).toBe('GET /files/');
    expect(find(['GET /{x}'], 'GET /files/')).toBeNull();
  });

  it('takes / for the context itself, with its slash and without', () => {
    expect(find(['GET /'], 'GET ')).toBe('GET /');
    expect(find(['GET /'], 'GET /')).toBe('GET /');
  });

  it('never fills a parameter with nothing', () => {
    expect(find(['GET /{a}'], 'GET /')).toBeNull();
    expect(find(['GET /a/{b}', 'GET /*'], 'GET /a/')).toBe('GET /*');
  });

  it('names the methods of a path for 405, from every place that fits', () => {
    const tree = treeOf(['GET /users/me', 'POST /users/{id}', 'DELETE /users/*', 'PUT /users']);
    expect(tree.allowed(['users', 'me'], 0)).toEqual(['DELETE', 'GET', 'HEAD', 'POST']);
    expect(tree.allowed(['users'], 0)).toEqual(['DELETE', 'PUT']);
    expect(tree.allowed(['nothing'], 0)).toEqual([]);
    expect(treeOf(['* /a']).allowed(['a'], 0)).toBeNull();
  });

  it('matches what is decoded: an encoded letter is no way round a route', () => {
    expect(treeOf(['GET /caf%C3%a9']).find(['caf\u00c3\u00a9'], 0, 'GET')).toBe('GET /caf%C3%a9');
  });

  it('agrees with trying every template by itself', () => {
    const segment = fc.constantFrom('a', 'b', 'c', '{x}', '{y}', '');
    const template = fc
      .tuple(fc.array(segment, { maxLength: 4 }), fc.boolean())
      .map(([segments, rest]) => `/${[...segments, ...(rest ? ['*'] : [])].join('/')}`)
      .filter((text) => parseTemplate(text).ok);
    const method = fc.constantFrom('GET', 'HEAD', 'POST', '*');
    const routes = fc.uniqueArray(
      fc.tuple(method, template).map(([m, t]) => `${m} ${t}`),
      { maxLength: 12, selector: templateShape },
    );
    const path = fc.array(fc.constantFrom('a', 'b', 'c', 'd', ''), { maxLength: 5 });
    fc.assert(
      fc.property(routes, path, fc.constantFrom('GET', 'HEAD', 'POST', 'PUT'), (list, segments, asked) => {
        expect(treeOf(list).find(segments, 0, asked)).toBe(naive(list, segments, asked));
      }),
      { numRuns: 2000 },
    );
  });
});

/** Every template against the whole path; of those that fit, the most exact one: segment by segment, then by method. */
function naive(routes: string[], given: string[], asked: string): string | null {
  const segments = given.length === 1 && given[0] === '' ? [] : given;
  const fitting: { route: string; rank: number[] }[] = [];
  for (const route of routes) {
    const [method = '', path = ''] = route.split(' ');
    const methodRank = method === asked ? 0 : method === 'GET' && asked === 'HEAD' ? 1 : method === '*' ? 2 : -1;
    const rank = rankOf(partsOf(path), segments);
    if (rank && methodRank >= 0) fitting.push({ route, rank: [...rank, methodRank] });
  }
  fitting.sort((a, b) => compare(a.rank, b.rank));
  return fitting[0]?.route ?? null;
}

function rankOf(parts: TemplatePart[], segments: string[]): number[] | null {
  const rank: number[] = [];
  for (const [i, part] of parts.entries()) {
    if (part.kind === 'rest') return [...rank, 3];
    const segment = segments[i];
    if (segment === undefined) return null;
    if (part.kind === 'fixed' ? part.text !== segment : segment === '') return null;
    rank.push(part.kind === 'fixed' ? 1 : 2);
  }
  return parts.length === segments.length ? [...rank, 0] : null;
}

function compare(a: number[], b: number[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
