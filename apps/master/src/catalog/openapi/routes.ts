import { type Route, templateShape } from '#model';
import { type ImportReport, Listing } from './import-report.js';
import type { Operation } from './operations.js';
import { isObject, type JsonObject, MAX_PLACE, own, type Place, placeText, shorten } from './place.js';
import { mergedNeed, type TokenNeed, type TokenNeeds } from './token-needs.js';
import type { Warnings } from './warnings.js';

const MAX_ID = 256;

interface Routes {
  routes: Route[];
  merged: ImportReport['merged'];
  /** routes that got an id of an operation */
  ids: number;
  /** routes that were opened because the document leaves their operations open */
  opened: number;
  /** routes that take tokens because the document says that their operations do */
  tokens: number;
}

interface Draft {
  route: Route;
  first: Operation;
  open: boolean;
  need: TokenNeed | null;
}

/**
 * What becomes of operations that the document leaves open: open routes, a warning, or nothing because all routes are
 * open.
 */
export type OpenOperations = 'honour' | 'warn' | 'leave';

/**
 * One route for each method and shape of path. Operations that cannot be told apart by these share the route of the
 * first, in the order of their paths. It is open only if all of them are, and if it takes no more than they do.
 */
export function makeRoutes(
  root: JsonObject,
  operations: Operation[],
  openOperations: OpenOperations,
  needs: TokenNeeds | null,
  warnings: Warnings,
): Routes {
  const drafts = new Map<string, Draft>();
  const merged = new Listing<ImportReport['merged']['first'][number]>();
  const ids = new Set<string>();
  for (const each of operations) {
    const { method, path, place, operation } = each;
    const id = idOf(operation, place, ids, warnings);
    const leftOpen = isOpen(root, operation, place, warnings);
    if (leftOpen && openOperations === 'warn') warnings.add('operations open in the document', place);
    if (leftOpen && each.widened && openOperations === 'honour')
      warnings.add('open operations of widened paths', place);
    const open = leftOpen && !each.widened;
    const need = needs?.of(operation, place) ?? null;
    const shape = `${method} ${templateShape(path)}`;
    const draft = drafts.get(shape);
    if (draft === undefined) {
      drafts.set(shape, { route: { method, path, ...(id !== undefined && { id }) }, first: each, open, need });
    } else {
      draft.open &&= open;
      draft.need = mergedNeed(draft.need, need);
      merged.add({
        where: placeText(place),
        into: placeText(draft.first.place),
        route: shorten(`${method} ${draft.route.path}`, MAX_PLACE),
      });
    }
  }
  const all = [...drafts.values()];
  const opened = openOperations === 'honour' ? all.filter(({ open }) => open) : [];
  for (const { route } of opened) route.security = 'open';
  let tokens = 0;
  for (const { route, need } of all) {
    if (need === null || route.security === 'open') continue;
    route.security = need.security;
    if (need.scopes.length > 0) route.scopes = need.scopes;
    tokens += 1;
  }
  return {
    routes: all.map(({ route }) => route),
    merged: merged.summary(),
    ids: all.filter(({ route }) => route.id !== undefined).length,
    opened: opened.length,
    tokens,
  };
}

function idOf(operation: JsonObject, place: Place, seen: Set<string>, warnings: Warnings): string | undefined {
  const id = own(operation, 'operationId');
  if (id === undefined) return undefined;
  const at = [...place, 'operationId'];
  if (typeof id !== 'string' || id === '' || id.length > MAX_ID || !id.isWellFormed()) {
    warnings.add('operationIds that are not used', at);
    return undefined;
  }
  if (seen.has(id)) warnings.add('operationIds that come again', at);
  seen.add(id);
  return id;
}

/** Whether the document says that an operation needs no credential. That it says nothing at all does not mean that. */
function isOpen(root: JsonObject, operation: JsonObject, place: Place, warnings: Warnings): boolean {
  const ofItself = own(operation, 'security');
  const security = ofItself === undefined ? own(root, 'security') : ofItself;
  if (security === undefined) return false;
  if (!Array.isArray(security)) {
    warnings.add('security that is not a list', ofItself === undefined ? ['security'] : [...place, 'security']);
    return false;
  }
  return (
    security.length === 0 ||
    security.some((requirement) => isObject(requirement) && Object.keys(requirement).length === 0)
  );
}
