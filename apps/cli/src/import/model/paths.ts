import { parseTemplate } from '#model';

/** A path of another gateway, as segments of a template here. */
export interface ForeignPath {
  /** fixed text or `{name}` */
  segments: string[];
  /** whether what begins with it is meant, too */
  prefix: boolean;
  /** it takes more than the other one did, as `{id}` takes more than `\d+`: nothing when empty */
  wider: boolean;
}

const SEGMENT = /^[A-Za-z0-9\-._~!$&'()+,=:@%]+$/;
const CONTEXT_SEGMENT = /^[A-Za-z0-9][A-Za-z0-9._~-]*$/;

/** `/weather/v1/`: a slash at the end says nothing, since all that begins with the path is meant. */
export function prefixPath(text: string): ForeignPath | null {
  const segments = text.split('/').filter((segment) => segment !== '');
  if (!text.startsWith('/') || !segments.every((segment) => SEGMENT.test(segment))) return null;
  return { segments, prefix: true, wider: false };
}

/** A group that stands for one segment: with what no path has in a segment it is `{name}` exactly, else less than that. */
const GROUP = /^\((?:\?P?<([A-Za-z_][A-Za-z0-9_]*)>)?((?:\[[^\][]*\]|\\[dw])\+)\)$/;
const WHOLE_SEGMENT = /^\[\^(?=[^\]]*\/)[/?#]+\]\+$/;
const LITERAL = /^(?:[A-Za-z0-9\-_~!&'=:@%,]|\\[.\-/])+$/;

/**
 * The few regular expressions that are templates in other words: fixed segments, and groups that fill a segment, as
 * OpenAPI documents are made into routes. Every other one is null: a regular expression says more than a template can.
 */
export function regexPath(pattern: string): ForeignPath | null {
  let text = pattern.startsWith('^') ? pattern.slice(1) : pattern;
  const exact = text.endsWith('$');
  if (exact) text = text.slice(0, -1);
  if (!text.startsWith('/') || text.includes('//')) return null;
  const path: ForeignPath = { segments: [], prefix: !exact, wider: false };
  for (const part of splitOutside(text.slice(1).replace(/\/$/, ''))) {
    const group = GROUP.exec(part);
    if (group) {
      const [, name = `part${path.segments.length + 1}`, escaped = ''] = group;
      const body = escaped.replaceAll('\\/', '/');
      if (takesSlashes(body)) return null;
      path.wider ||= !WHOLE_SEGMENT.test(body);
      path.segments.push(`{${name}}`);
    } else if (LITERAL.test(part)) path.segments.push(part.replaceAll('\\', ''));
    else return null;
  }
  return path;
}

function takesSlashes(body: string): boolean {
  if (!body.startsWith('[')) return false;
  return body.startsWith('[^') !== body.includes('/');
}

/** Splits at slashes that are not in brackets. */
function splitOutside(text: string): string[] {
  return text.match(/(?:\[[^\][]*\]|[^/])+/g) ?? [];
}

/** The leading segments that a context can be made of. */
export function contextSegments({ segments }: ForeignPath): string[] {
  const end = segments.findIndex((segment) => !CONTEXT_SEGMENT.test(segment));
  return end < 0 ? segments : segments.slice(0, end);
}

/** @returns null where it is no template: too many segments, for instance */
export function templateOf(segments: readonly string[], prefix: boolean): string | null {
  const path = `/${[...segments, ...(prefix ? ['*'] : [])].join('/')}`;
  return path.length <= 2048 && parseTemplate(path).ok ? path : null;
}

export function startsWith(segments: readonly string[], beginning: readonly string[]): boolean {
  return beginning.length <= segments.length && beginning.every((segment, index) => segments[index] === segment);
}

export function commonStart(lists: readonly (readonly string[])[]): string[] {
  const [first = [], ...others] = lists;
  const end = first.findIndex((segment, index) => others.some((list) => list[index] !== segment));
  return end < 0 ? [...first] : first.slice(0, end);
}

/** `/orders/v2` is version v2 of what it says. */
export function versionIn(segments: readonly string[]): string | null {
  const last = segments.at(-1)?.toLowerCase() ?? '';
  return /^v\d{1,9}(\.\d{1,9}){0,2}$/.test(last) ? last : null;
}
