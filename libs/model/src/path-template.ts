/** A part of a path template: fixed text, `{name}`, or the trailing `*` that takes the rest. */
export type TemplatePart = { kind: 'fixed'; text: string } | { kind: 'param'; name: string } | { kind: 'rest' };

export type TemplateResult = { ok: true; parts: TemplatePart[] } | { ok: false; problem: string };

const MAX_PARTS = 64;
const FIXED = /^(?:[A-Za-z0-9\-._~!$&'()+,;=:@]|%[0-9A-Fa-f]{2})+$/;
const PARAM = /^\{[^{}/]+\}$/;

/**
 * Parses `/users/{id}/files/*`. A parameter fills a whole segment; a `*` stands last and takes any number of segments,
 * none included. Parameters' names do not matter for matching: `/a/{x}` and `/a/{y}` are the same route.
 */
export function parseTemplate(template: string): TemplateResult {
  if (!template.startsWith('/')) return { ok: false, problem: 'must begin with /' };
  if (template === '/') return { ok: true, parts: [] };
  const segments = template.slice(1).split('/');
  if (segments.length > MAX_PARTS) return { ok: false, problem: `has more than ${MAX_PARTS} segments` };
  const parts: TemplatePart[] = [];
  for (const [index, segment] of segments.entries()) {
    if (segment === '*') {
      if (index !== segments.length - 1) return { ok: false, problem: 'has a * that is not the last segment' };
      parts.push({ kind: 'rest' });
    } else if (PARAM.test(segment)) {
      parts.push({ kind: 'param', name: segment.slice(1, -1) });
    } else if (segment === '' && index === segments.length - 1) {
      parts.push({ kind: 'fixed', text: '' }); // a trailing slash is a segment of its own
    } else if (segment === '.' || segment === '..') {
      return { ok: false, problem: 'has a . or .. segment' };
    } else if (FIXED.test(segment)) {
      parts.push({ kind: 'fixed', text: segment });
    } else {
      return {
        ok: false,
        problem: `has a segment "${segment}" that is neither plain text, one {parameter}, nor a last *`,
      };
    }
  }
  return { ok: true, parts };
}

/** The template with its parameters' names taken out, for telling that two routes are the same. */
export function templateShape(template: string): string {
  return template.replace(/\{[^{}/]+\}/g, '{}');
}
