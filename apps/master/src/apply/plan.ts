import { hash } from 'node:crypto';
import { canonicalJson } from '#platform';
import { differences } from '../catalog/release-diff.js';
import type { Change } from '../catalog/releases.endpoints.js';
import { KINDS, mayRead, rolesOf } from './documents.js';
import type { Faults } from './faults.js';
import { planPlacings } from './plan-placings.js';
import type { Asked, FieldChange, Plan, PlannedChange } from './planned.js';
import type { Fields, Wanted } from './read-documents.js';
import type { Standing } from './read-found.js';

/** What cannot be changed once it is there. */
const FIXED: Partial<Record<Wanted['kind'], string>> = {
  environment: 'position',
  region: 'environment',
  api: 'context',
};

/** Nobody is shown more of it. */
const SECRET: FieldChange = { path: '/secret', secret: true };

/**
 * Compares what documents want with what there is. Computes only; what refers to what is found out when it is written.
 *
 * @param refusals what the caller's role may not do, or not without a reason: whoever only asks may see the plan all the same
 */
export function planOf(
  wanted: readonly Wanted[],
  standing: Standing,
  asked: Asked,
  faults: Faults,
  refusals: Faults,
): Plan {
  const order = new Map(KINDS.map((kind, index) => [kind, index]));
  const inOrder = (a: { kind: Wanted['kind']; key: string }, b: { kind: Wanted['kind']; key: string }): number =>
    (order.get(a.kind) ?? 0) - (order.get(b.kind) ?? 0) || (a.key < b.key ? -1 : 1);
  const kept = [...wanted].sort(inOrder).map((one) => changeOf(one, standing, asked, faults));
  const named = new Set(wanted.map(({ kind, key }) => `${kind} ${key}`));
  const gone = [...standing.things.values()]
    .filter(({ kind, key, set }) => asked.prune && set === asked.set && !named.has(`${kind} ${key}`))
    .sort((a, b) => inOrder(b, a))
    .map((found): PlannedChange => {
      const { kind, id, fields } = found;
      return { action: 'delete', kind, id, at: '/prune', fields: changesOf(fields, {}), wanted: null, found };
    });
  const changes = [...kept, ...gone];
  for (const change of changes) requireRole(change, asked, faults, refusals);
  return { changes, placings: planPlacings(changes, wanted, standing, asked, faults, refusals) };
}

function changeOf(wanted: Wanted, { things }: Standing, asked: Asked, faults: Faults): PlannedChange {
  const { kind, id, at } = wanted;
  const found = things.get(`${kind} ${wanted.key}`);
  if (!found) {
    const fields = changesOf({}, wanted.fields);
    if (wanted.document.kind === 'webhook' && wanted.document.secret !== undefined) fields.push(SECRET);
    return { action: 'create', kind, id, at, fields, wanted, found: null };
  }
  const fields = changesOf(comparable(found.fields, wanted.fields), wanted.fields);
  const fixed = FIXED[kind];
  const moved = fixed && fields.find(({ path }) => path === `/${fixed}`);
  if (moved) {
    const problem = `is ${JSON.stringify(moved.before)} of the ${kind} "${id}", and cannot be changed`;
    faults.add(`${at}/${fixed}`, problem, {
      expected: `${JSON.stringify(moved.before)}; another ${kind} has another name`,
    });
  }
  if (found.secretDiffers) fields.push(SECRET);
  if (found.set !== asked.set) {
    if (found.set !== null && !asked.take) {
      const problem = `the ${kind} "${id}" belongs to the set "${found.set}"`;
      faults.add(at, problem, {
        expected: 'take it out of one of the two, or apply with take',
        code: 'owned_elsewhere',
      });
    }
    fields.push({ path: '/set', before: found.set, after: asked.set });
  }
  return { action: fields.length > 0 ? 'update' : 'unchanged', kind, id, at, fields, wanted, found };
}

/** Of what there is, what a document speaks of: of an API, those environments that it serves in. */
function comparable(found: Fields, wanted: Fields): Fields {
  const served = (found.serve ?? {}) as Record<string, unknown>;
  const kept = Object.entries(found).filter(([field]) => field !== 'serve' && Object.hasOwn(wanted, field));
  if (!wanted.serve) return Object.fromEntries(kept);
  const environments = Object.keys(wanted.serve);
  return Object.fromEntries([
    ...kept,
    ['serve', Object.fromEntries(environments.map((one) => [one, served[one] ?? {}]))],
  ]);
}

function changesOf(from: Fields, to: Fields): FieldChange[] {
  return differences(from, to).map(fieldChangeOf);
}

export function fieldChangeOf({ pointer, from, to, large }: Change): FieldChange {
  return {
    path: pointer,
    ...(from === undefined ? {} : { before: from }),
    ...(to === undefined ? {} : { after: to }),
    ...(large && { large }),
  };
}

function requireRole(
  { action, kind, id, at, fields }: PlannedChange,
  { role }: Asked,
  faults: Faults,
  refusals: Faults,
): void {
  if (!mayRead(role, kind)) return refuse(faults, at, `see the ${kind} "${id}"`, role, rolesOf(kind, 'read'));
  // who may place releases (plan-placings.ts) need not be who makes them
  const isPlacing = kind === 'api' && action === 'update' && fields.every(({ path }) => path.startsWith('/serve/'));
  const writers = isPlacing ? [...rolesOf(kind, 'write'), 'operator'] : rolesOf(kind, 'write');
  if (action === 'unchanged' || role === 'admin' || writers.includes(role)) return;
  refuse(refusals, at, `${action} the ${kind} "${id}"`, role, writers);
}

function refuse(faults: Faults, at: string, what: string, role: string, roles: readonly string[]): void {
  const expected = `a token with the role ${['admin', ...roles].join(' or ')}`;
  faults.add(at, `the role ${role} may not ${what}`, { expected, code: 'forbidden' });
}

/** Names what a plan does; one that does something else has another name. */
export function planHash(set: string, { changes }: Plan): string {
  const done = changes.flatMap(({ action, kind, id, fields }) =>
    action === 'unchanged' ? [] : [{ action, kind, id, fields }],
  );
  return hash('sha256', canonicalJson({ set, changes: done }), 'hex');
}
