import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { hasOwnNames } from './references.js';

type Node = Record<string, unknown>;

/** Pointers to what the schema has members of any name in; `0` stands for each of a list. */
function recordsIn(node: unknown, pointer: string): string[] {
  if (typeof node !== 'object' || node === null) return [];
  const { properties, items, anyOf, additionalProperties } = node as Node;
  return [
    ...(typeof additionalProperties === 'object' ? [pointer] : []),
    ...Object.entries((properties ?? {}) as Node).flatMap(([name, one]) => recordsIn(one, `${pointer}/${name}`)),
    ...((anyOf ?? []) as unknown[]).flatMap((one) => recordsIn(one, pointer)),
    ...recordsIn(items, `${pointer}/0`),
  ];
}

it('knows each place where members are called as somebody likes', () => {
  const text = readFileSync(new URL('../../../../docs/apply.schema.json', import.meta.url), 'utf8');
  const { anyOf, definitions } = JSON.parse(text) as { anyOf: Node[]; definitions: { release: Node } };
  const records = [
    ...anyOf.flatMap((one) => recordsIn(one, '')),
    ...recordsIn(definitions.release, '/definition'),
    ...recordsIn(definitions.release, ''), // in a file of its own
  ];
  expect(records).toContain('/serve');
  expect(records).toContain('/definition/routes/0/policies/requestHeaders/set');
  expect(records.filter((pointer) => !hasOwnNames(pointer))).toEqual([]);
  expect(hasOwnNames('/definition/upstream/targets/0/url')).toBe(false);
});
