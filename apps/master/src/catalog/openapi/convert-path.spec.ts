import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTemplate } from '#model';
import { convertPath } from './convert-path.js';

const pathOf = (key: string): string => {
  const result = convertPath(key);
  if (!result.ok) throw new Error(result.problem);
  return result.path;
};

describe('a key of paths as a template', () => {
  it.each([
    ['/', '/'],
    ['/pets', '/pets'],
    ['/pets/', '/pets/'],
    ['/pets/{petId}', '/pets/{petId}'],
    ['/{名前}/x', '/{名前}/x'],
    ["/a-._~!$&'()+,;=:@/b", "/a-._~!$&'()+,;=:@/b"],
  ])('stays as it is: %s', (key, path) => {
    expect(convertPath(key)).toEqual({ ok: true, path, widened: [], encoded: false });
  });

  it.each([
    ['/repos/{o}/compare/{base}...{head}', '/repos/{o}/compare/{base...head}'],
    ['/files/{name}.{ext}', '/files/{name.ext}'],
    ['/{id}:cancel', '/{id:cancel}'],
    ['/v{major}/x', '/{vmajor}/x'],
    ['/a/{x}{y}/b', '/a/{xy}/b'],
    ['/static/*', '/static/*'],
    ['/static/**', '/static/*'],
    ['/{proxy+}', '/*'],
    ['/a/{*rest}', '/a/*'],
    ['/a/{**rest}', '/a/*'],
    ['/cookies#exploded', '/cookies'],
    ['/search?type={type}', '/search'],
    ['/search{?type,page}', '/search'],
    ['/#home', '/'],
  ])('takes more than the document says, and says so: %s', (key, path) => {
    const result = convertPath(key);
    expect(result).toMatchObject({ ok: true, path });
    expect(result.ok && result.widened).toHaveLength(1);
  });

  it.each([
    ['/café', '/caf%C3%A9'],
    ['/caf%c3%a9', '/caf%C3%A9'],
    ['/a b/"c"', '/a%20b/%22c%22'],
    ['/100%/x', '/100%25/x'],
    ['/😀', '/%F0%9F%98%80'],
    ['/a*b/x[1]', '/a%2Ab/x%5B1%5D'],
    ['/*/x', '/%2A/x'],
  ])('has what a template cannot hold percent-encoded: %s', (key, path) => {
    expect(convertPath(key)).toEqual({ ok: true, path, widened: [], encoded: true });
  });

  it.each([
    ['pets', 'begin with /'],
    ['', 'begin with /'],
    ['?x=/y', 'begin with /'],
    ['//pets', 'empty segment'],
    ['/a//b', 'empty segment'],
    ['/a/../b', '. or .. segment'],
    ['/a/%2E%2e/b', '. or .. segment'],
    ['/a/{}', '{ or }'],
    ['/a/{b', '{ or }'],
    ['/a/b}', '{ or }'],
    ['/a/{b/c}', '{ or }'],
    ['/a/{{b}}', '{ or }'],
    ['/a\n', 'control character'],
    ['/a/{b\u0000}', 'control character'],
    ['/\ud800', 'surrogate'],
    [`/${'a'.repeat(2048)}`, '2048 characters'],
    ['/a'.repeat(65), '64 segments'],
  ])('is refused where no route could match it: %j', (key, problem) => {
    const result = convertPath(key);
    expect(result.ok ? result.path : result.problem).toContain(problem);
  });

  it('is one that the model accepts, whatever the key is', () => {
    const piece = fc.constantFrom(
      '/',
      '{',
      '}',
      '*',
      '+',
      '?',
      '#',
      '%',
      '%2e',
      '.',
      'a',
      'é',
      '{x}',
      ' ',
      '\ud83d',
      ':',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const result = convertPath(`/${pieces.join('')}`);
        if (result.ok) expect(parseTemplate(result.path)).toMatchObject({ ok: true });
        else expect(result.problem).not.toBe('');
      }),
      { numRuns: 2000 },
    );
  });

  it('is the same when it is converted again', () => {
    for (const key of ['/café/{a}.{b}', '/x/{proxy+}', '/100%/?q']) expect(pathOf(pathOf(key))).toBe(pathOf(key));
  });
});
