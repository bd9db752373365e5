import type { Operation } from '../api/operation.js';
import type { Resource } from './resources.js';

export interface Verb {
  name: string;
  /** `GET /v1/plans/{plan}` */
  key: string;
  method: string;
  path: string;
  operation: Operation;
}

/** What takes over from a person who decides, and cannot be taken back. */
const ASKED_FOR = new Set(['delete', 'revoke', 'revoke-tokens', 'revoke-token']);

/** Operations that have commands of their own, or are no commands. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  'POST /v1/apis/{api}/releases': 'helio release create',
  'POST /v1/promotions': 'helio promote',
  'POST /v1/rollbacks': 'helio rollback',
  'POST /v1/import': 'helio import',
  'GET /v1/status': 'helio status',
  'POST /v1/apply': 'helio apply',
  'GET /v1/apply/schema.json': 'for editors',
  'GET /v1/export': 'helio export',
  'GET /v1/promotions/{promotion}/events': 'helio promotion watch',
  'GET /v1/regions/{region}/access-log': 'helio tail',
  'GET /v1/replicas/{replica}/access-log': 'helio tail',
};

/**
 * The verbs of each resource, from the operations: those of the collection, of one item, and what an item's path goes on with.
 *
 * @returns by the name of the resource; under '' what belongs to none
 */
export function verbsOf(
  resources: readonly Resource[],
  operations: Readonly<Record<string, Operation>>,
): ReadonlyMap<string, readonly Verb[]> {
  const byResource = new Map<string, Verb[]>();
  const moved = new Map(
    resources.flatMap(({ name, also = {} }) =>
      Object.entries(also).map(([verb, key]) => [key, { name, verb }] as const),
    ),
  );
  for (const [key, operation] of Object.entries(operations)) {
    if (Object.hasOwn(ELSEWHERE, key)) continue;
    const [method = '', path = ''] = key.split(' ');
    const resource = resources
      .filter((one) => isBelow(path, one.path))
      .sort((a, b) => b.path.length - a.path.length)[0];
    const { name, verb } = moved.get(key) ?? {
      name: resource?.name ?? '',
      verb: verbOf(method, path.slice(resource?.path.length ?? 0), operation),
    };
    const verbs = byResource.get(name) ?? [];
    byResource.set(name, [...verbs, { name: verb, key, method, path, operation }]);
  }
  return byResource;
}

export function asksFirst({ name }: Verb): boolean {
  return ASKED_FOR.has(name);
}

function isBelow(path: string, of: string): boolean {
  return path === of || path.startsWith(`${of}/`);
}

/** @param rest of the path, after the collection's: `/{key}/rotate` */
function verbOf(method: string, rest: string, { list }: Operation): string {
  const words = rest.split('/').filter((part) => part !== '' && !part.startsWith('{'));
  if (words.length > 0) return words.join('-');
  const ofItem = rest !== '';
  if (method === 'GET') return list && !ofItem ? 'list' : 'get';
  if (method === 'POST') return 'create';
  if (method === 'DELETE') return 'delete';
  return ofItem || method === 'PUT' ? 'update' : 'create';
}
