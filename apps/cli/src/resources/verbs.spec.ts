import { describe, expect, it } from 'vitest';
import { OPERATIONS } from '../api/operations.js';
import { OFFICE_RESOURCES } from './office-resources.js';
import { RESOURCES } from './resources.js';
import { ELSEWHERE, verbsOf } from './verbs.js';

const ALL = [...RESOURCES, ...OFFICE_RESOURCES];
const VERBS = verbsOf(ALL, OPERATIONS);

describe('the verbs of resources', () => {
  it('reach every operation of the master that is for people', () => {
    expect((VERBS.get('') ?? []).map(({ key }) => key)).toEqual([]);
    for (const key of Object.keys(ELSEWHERE)) expect(OPERATIONS).toHaveProperty([key]);
  });

  it('have one name for each operation of a resource', () => {
    for (const [resource, verbs] of VERBS) {
      const names = verbs.map(({ name }) => name);
      expect([...new Set(names)], resource).toEqual(names);
    }
  });

  it('are called the same everywhere', () => {
    const names = new Set([...VERBS.values()].flat().map(({ name }) => name));
    expect([...names].toSorted()).toMatchInlineSnapshot(`
      [
        "abort",
        "approve",
        "convergence",
        "create",
        "delete",
        "diff",
        "get",
        "head",
        "leaked",
        "list",
        "pause",
        "refresh",
        "reject",
        "replay",
        "resume",
        "retry",
        "revoke",
        "revoke-token",
        "revoke-tokens",
        "rollback",
        "rotate",
        "skip",
        "test",
        "update",
      ]
    `);
  });

  it('leave no resource without one', () => {
    for (const { name } of ALL) expect(VERBS.get(name)?.length, name).toBeGreaterThan(0);
  });

  it('take as arguments only what the body has', () => {
    for (const { name, given = [] } of ALL) {
      const create = VERBS.get(name)?.find((verb) => verb.name === 'create');
      const fields = (create?.operation.body ?? []).map((field) => field.name);
      expect(fields, name).toEqual(expect.arrayContaining([...given]));
    }
  });
});
