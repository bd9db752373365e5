import type { Faults } from './faults.js';
import type { NotUsed } from './not-used.js';
import { describe, own, type Place, shorten } from './place.js';
import type { Warnings } from './warnings.js';

const MAX_URL = 2048;
const EXPECTED = 'an absolute http(s) URL without credentials, query and fragment; or give `upstream` with the import';

/**
 * The first server that can be an upstream, its variables replaced by their defaults. OpenAPI resolves a relative
 * server against where the document was read, which nobody here knows.
 */
export function chooseServer(
  servers: unknown,
  faults: Faults,
  notUsed: NotUsed,
  warnings: Warnings,
): { url: string; index: number } | undefined {
  const list: unknown[] = Array.isArray(servers) ? servers : [];
  let chosen: { url: string; index: number } | undefined;
  const problems: { place: Place; problem: string }[] = [];
  for (const [index, server] of list.entries()) {
    const place = ['servers', index];
    if (chosen) {
      notUsed.add('further servers', place);
      continue;
    }
    const result = urlOf(server);
    if ('url' in result) chosen = { url: result.url, index };
    else problems.push({ place: [...place, 'url'], problem: result.problem });
  }
  if (chosen) {
    for (const { place, problem } of problems) warnings.add('servers that cannot be used', place, ` ${problem}`);
    return chosen;
  }
  if (list.length === 0) {
    const none = servers === undefined || Array.isArray(servers);
    faults.add(['servers'], none ? 'names no server' : `is ${describe(servers)}`, EXPECTED);
  }
  for (const { place, problem } of problems) faults.add(place, problem, EXPECTED);
  return undefined;
}

function urlOf(server: unknown): { url: string } | { problem: string } {
  const template = own(server, 'url');
  if (typeof template !== 'string') return { problem: `is ${describe(template)}` };
  const variables = own(server, 'variables');
  const missing: string[] = [];
  const text = template.replace(/\{([^{}]+)\}/g, (whole, name: string) => {
    const value = own(own(variables, name), 'default');
    if (typeof value === 'string' || typeof value === 'number') return String(value);
    missing.push(whole);
    return whole;
  });
  if (missing.length > 0) return { problem: `has variables without a default: ${shorten(missing.join(', '), 200)}` };
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) {
    return { problem: `is ${describe(text.replace(/\/\/[^/]*@/, '//...@'))}` }; // a password may stand there
  }
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return { problem: 'has credentials' };
  if (url.search !== '' || url.hash !== '') return { problem: 'has a query or a fragment' };
  // paths are appended and begin with a slash
  const target = url.origin + url.pathname.replace(/\/+$/, '');
  return target.length <= MAX_URL ? { url: target } : { problem: `has more than ${MAX_URL} characters` };
}
