import { parseTemplate } from '#model';

type ConvertedPath =
  | {
      ok: true;
      path: string /** why it takes more than the key; empty if it does not */;
      widened: string[];
      encoded: boolean;
    }
  | { ok: false; problem: string; expected?: string };

const MAX_PATH = 2048;
const PARAM = /\{[^{}]+\}/g;
const WHOLE_PARAM = /^\{[^{}]+\}$/;
/** `*`, and how AWS, ASP.NET, Spring and others write a parameter that takes several segments. */
const TAKES_REST = /^(?:\*\*?|\{[*+][^{}]*\}|\{[^{}]+[*+]\})$/;
const DOTS = /^(?:\.|%2e){1,2}$/i;
const NOT_PLAIN = /%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()+,;=:@%]/gu;

/**
 * Makes a route's template of a key of `paths`. What a template cannot say takes more than the key did, never less:
 *
 * - `/{id}:cancel`, `/{base}...{head}`: the whole segment becomes one parameter, `{id:cancel}`, `{base...head}`;
 * - `/files/*`, `/{proxy+}` at the end: any number of segments;
 * - `/cookies#exploded`, `/search?type=a`: what comes after the path is dropped.
 *
 * Characters that a template cannot hold are percent-encoded, which changes nothing about what the path means.
 */
export function convertPath(key: string): ConvertedPath {
  if (!key.startsWith('/')) return { ok: false, problem: 'does not begin with /', expected: 'a path like /pets/{id}' };
  if (!key.isWellFormed()) return { ok: false, problem: 'has half a surrogate pair, which no URL can hold' };
  if (/\p{Cc}/u.test(key)) return { ok: false, problem: 'has a control character' };
  const widened = new Set<string>();
  const bare = key.replace(/\{?[?#].*$/s, '');
  if (bare !== key) widened.add('a query or fragment takes no part in routing');
  const segments = bare.slice(1).split('/');
  const converted: string[] = [];
  let encoded = false;
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (last && TAKES_REST.test(segment)) {
      widened.add('the last segment takes any number of segments');
      converted.push('*');
    } else if (WHOLE_PARAM.test(segment)) {
      converted.push(segment);
    } else if (/[{}]/.test(segment)) {
      const name = segment.replace(PARAM, (param) => param.slice(1, -1));
      if (/[{}]/.test(name))
        return { ok: false, problem: 'has a { or } that is not part of a {parameter} with a name' };
      widened.add('a parameter takes a whole segment');
      converted.push(`{${name}}`);
    } else if (segment === '' && !last) {
      return { ok: false, problem: 'has an empty segment (//)' };
    } else if (DOTS.test(segment)) {
      return { ok: false, problem: 'has a . or .. segment, which clients resolve before they send it' };
    } else {
      const fixed = encodeFixed(segment);
      encoded ||= fixed !== segment;
      converted.push(fixed);
    }
  }
  const path = `/${converted.join('/')}`;
  if (path.length > MAX_PATH) return { ok: false, problem: `has more than ${MAX_PATH} characters` };
  const parsed = parseTemplate(path);
  return parsed.ok ? { ok: true, path, widened: [...widened], encoded } : { ok: false, problem: parsed.problem };
}

/** In upper-case hexadecimal, as URLs are normalised, so that two spellings of a path are one route. */
function encodeFixed(segment: string): string {
  return segment
    .replace(NOT_PLAIN, (character) => Buffer.from(character).toString('hex').replace(/../g, '%$&'))
    .replace(/%[0-9a-f]{2}/gi, (triplet) => triplet.toUpperCase());
}
