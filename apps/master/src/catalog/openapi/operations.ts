import { METHODS } from '#model';
import { convertPath } from './convert-path.js';
import type { Faults } from './faults.js';
import { Listing, type ImportReport } from './import-report.js';
import type { PathItems } from './path-items.js';
import { describe, isObject, type JsonObject, MAX_PLACE, own, type Place, placeText, shorten } from './place.js';
import type { Warnings } from './warnings.js';

export interface Operation {
  method: (typeof METHODS)[number];
  /** the route's template */
  path: string;
  /** whether the template takes more than the document says */
  widened: boolean;
  place: Place;
  operation: JsonObject;
}

interface Operations {
  all: Operation[];
  widened: ImportReport['widened'];
  /** keys of `paths` whose template is percent-encoded */
  encoded: number;
}

const BY_FIELD = new Map(METHODS.map((method) => [method.toLowerCase(), method]));

/**
 * Every operation of every path, in an order that does not depend on the document's. What cannot become a route is a
 * fault: an operation is never left out.
 */
export function collectOperations(root: JsonObject, items: PathItems, faults: Faults, warnings: Warnings): Operations {
  const all: Operation[] = [];
  const paths = pathsOf(root, faults);
  const widened = new Listing<ImportReport['widened']['first'][number]>();
  let encoded = 0;
  for (const key of Object.keys(paths).sort()) {
    if (key.startsWith('x-')) continue;
    const place = ['paths', key];
    const converted = convertPath(key);
    if (!converted.ok) faults.add(place, converted.problem, converted.expected);
    const resolved = items.resolve(paths[key], place);
    if (!converted.ok || !resolved) continue;
    const isWidened = converted.widened.length > 0;
    if (isWidened) {
      widened.add({
        where: placeText(place),
        path: shorten(converted.path, MAX_PLACE),
        why: converted.widened.join('; '),
      });
    }
    if (converted.encoded) encoded += 1;
    for (const field of resolved.hidden) warnings.add('fields beside a $ref', [...place, field]);
    const before = all.length;
    for (const { method, operation, field } of operationsOf(resolved.item, place, faults)) {
      all.push({ method, path: converted.path, widened: isWidened, place: [...place, field], operation });
    }
    if (all.length === before) warnings.add('paths without operations', place);
  }
  if (all.length === 0 && faults.none) {
    faults.add(['paths'], 'has no operations', 'at least one path with an operation');
  }
  return { all, widened: widened.summary(), encoded };
}

function pathsOf(root: JsonObject, faults: Faults): JsonObject {
  const paths = own(root, 'paths');
  if (isObject(paths)) return paths;
  const webhooksOnly = paths === undefined && own(root, 'webhooks') !== undefined;
  faults.add(
    ['paths'],
    webhooksOnly ? 'is missing; webhooks alone make no routes' : `is ${describe(paths)}`,
    'an object of paths with operations',
  );
  return {};
}

function operationsOf(
  item: JsonObject,
  place: Place,
  faults: Faults,
): { method: Operation['method']; field: string; operation: JsonObject }[] {
  return Object.keys(item)
    .sort()
    .flatMap((field) => {
      const method = BY_FIELD.get(field.toLowerCase());
      if (method === undefined) return [];
      const operation = own(item, field);
      const at = [...place, field];
      if (field !== field.toLowerCase()) {
        faults.add(at, 'is a method in upper case', field.toLowerCase());
      } else if (!isObject(operation)) {
        faults.add(at, `is ${describe(operation)}`, 'an operation: an object');
      } else if (Object.hasOwn(operation, '$ref')) {
        faults.add(at, 'is a $ref, which an operation cannot be', 'the operation itself, or a $ref of the whole path');
      } else {
        return [{ method, field, operation }];
      }
      return [];
    });
}
