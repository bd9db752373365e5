import { commonStart, contextSegments, type ForeignPath, prefixPath, regexPath, startsWith } from '../model/paths.js';
import type { Part } from '../source/part.js';
import type { RouteEntry, ServiceEntry } from './entities.js';

/** One path of a route. */
export interface RoutedPath {
  route: RouteEntry;
  path: ForeignPath;
  /** its leading segments that a context can be made of */
  fixed: string[];
  strip: boolean;
  at: Part;
}

/** Paths of one service below one context. */
export interface ApiGroup {
  service: ServiceEntry;
  context: string[];
  paths: RoutedPath[];
}

/** What may have been a regular expression up to format 2.1: everything with other characters than these. */
const PLAIN_BEFORE_3 = /^[a-zA-Z0-9.\-_~/%]*$/;
const NO_CONTEXT = 'an API has a context of at least one segment, and every path is below one';

/** The paths of a service, without those that cannot be said here. */
export function pathsOf(service: ServiceEntry, before3: boolean): RoutedPath[] {
  return service.routes.flatMap((route) => {
    const { at } = route;
    if (!usable(at)) return [];
    const strip = at.at('strip_path').flag(true);
    const paths = at
      .at('paths')
      .items()
      .flatMap((part) => pathOf(part, before3) ?? [])
      .flatMap(({ path, at: part }) => {
        const fixed = contextSegments(path);
        if (fixed.length === 0) {
          part.lost(NO_CONTEXT, 'give it a path of its own, and tell its callers');
          return [];
        }
        if (strip && path.segments.some((segment) => segment.startsWith('{'))) {
          part.lost(
            'what a pattern takes cannot be stripped',
            'have the upstream take the path as it is, and set strip_path to false',
          );
          return [];
        }
        return [{ route, path, fixed, strip, at: part }];
      });
    if (paths.length > 0) tellDifferences(at);
    return paths;
  });
}

/** Whether it is found by its path and method alone; what else it looks at would be open to more requests here. */
function usable(at: Part): boolean {
  for (const field of ['headers', 'snis', 'sources', 'destinations', 'expression'] as const)
    if (at.at(field).present && Object.keys(at.at(field).value as object).length > 0) {
      at.lost(`routes are found by their path and method, not by ${field}`, 'give it a path of its own');
      return false;
    }
  const protocols = at.at('protocols').texts();
  if (protocols.length > 0 && !protocols.includes('http') && !protocols.includes('https')) {
    at.lost('the gateway speaks HTTP', 'leave it where it is');
    return false;
  }
  if (at.at('hosts').texts().length > 0 && at.at('paths').texts().length === 0) {
    at.lost('routes are found by their path, not by their host', 'give it a path of its own, and tell its callers');
    return false;
  }
  if (at.at('paths').texts().length === 0) {
    at.lost(NO_CONTEXT, 'give it a path of its own, and tell its callers');
    return false;
  }
  if (at.at('preserve_host').flag(false))
    at.at('preserve_host').lost(
      'upstreams get the host of their target; the caller asked for the one in X-Forwarded-Host',
      'have the upstream look there',
    );
  at.skip('path_handling', 'https_redirect_status_code', 'request_buffering', 'response_buffering', 'name');
  return true;
}

/** What is different about a route that comes along. */
function tellDifferences(at: Part): void {
  const protocols = at.at('protocols').texts();
  if (protocols.length > 0 && !protocols.includes('http'))
    at.at('protocols').changed(
      'a gateway that listens without TLS, too, serves it there as well',
      'give gateways a TLS port only',
    );
  if (at.at('hosts').present)
    at.at('hosts').changed('the path is served under every host', 'nothing, if all that reach a gateway may');
  if (at.at('path_handling').text() === 'v1')
    at.at('path_handling').changed('paths are joined as by v0', 'look at slashes where two paths meet');
}

function pathOf(at: Part, before3: boolean): { path: ForeignPath; at: Part } | null {
  const text = at.text();
  if (text === undefined) return null;
  const isRegex = before3 ? !PLAIN_BEFORE_3.test(text) : text.startsWith('~');
  const path = isRegex ? regexPath(text.replace(/^~/, '')) : prefixPath(text);
  if (!path) {
    at.lost(
      isRegex
        ? 'a regular expression says more than a path template can'
        : 'it has characters that a template cannot have',
      'write the routes by hand: fixed segments, {parameters}, and * at the end',
    );
    return null;
  }
  if (path.wider)
    at.changed('a {parameter} takes any text in its segment', 'have the upstream refuse what it does not know');
  return { path, at };
}

/**
 * One API for a service where a context can hold all of its paths and nobody else's: two segments, or the very path of a
 * route. A single segment that nobody has named, such as `/api`, would keep every later API from having it.
 */
export function groupsOf(service: ServiceEntry, paths: RoutedPath[], others: readonly RoutedPath[]): ApiGroup[] {
  const common = commonStart(paths.map(({ fixed }) => fixed));
  const named = paths.some(({ fixed }) => fixed.length === common.length);
  const free = others.every(({ fixed }) => !startsWith(fixed, common) && !startsWith(common, fixed));
  if (common.length > 0 && free && (named || common.length > 1)) return [{ service, context: common, paths }];
  const groups: ApiGroup[] = [];
  for (const path of [...paths].sort((a, b) => a.fixed.length - b.fixed.length)) {
    const home = groups.find(({ context }) => startsWith(path.fixed, context));
    if (home) home.paths.push(path);
    else groups.push({ service, context: path.fixed, paths: [path] });
  }
  return groups;
}

/** Without those whose context is inside of another one's, or has one inside. */
export function apart(groups: readonly ApiGroup[]): ApiGroup[] {
  const kept: ApiGroup[] = [];
  for (const group of groups) {
    const { context } = group;
    const other = kept.find((one) => startsWith(one.context, context) || startsWith(context, one.context));
    if (!other) kept.push(group);
    else
      for (const { at } of group.paths)
        at.lost(
          `no two APIs may have one path inside of the other's, and /${other.context.join('/')} is taken`,
          'give one of them another path, or one API both with an upstream that tells them apart',
        );
  }
  return kept;
}
