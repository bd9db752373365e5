import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type FieldFault, faultsOf } from './problem.js';

const faults = (schema: z.ZodType, value: unknown): FieldFault[] => {
  const { error } = schema.safeParse(value);
  if (!error) throw new Error('the schema takes it');
  return faultsOf(error);
};

describe('faultsOf', () => {
  it.each<[z.ZodType, unknown, string]>([
    [z.string(), undefined, 'must be given (string)'],
    [z.string(), 1, 'must be of the type string, not number'],
    [z.int(), 1.5, 'must be of the type int, not number'],
    [z.enum(['adopt', 'proceed']), 'x', 'must be one of adopt, proceed'],
    [z.enum(['adopt', 'proceed']), undefined, 'must be one of adopt, proceed'],
    [z.literal(true), false, 'must be true'],
    [z.string().min(3), '', 'must have at least 3 characters'],
    [z.string().length(3), '', 'must have exactly 3 characters'],
    [z.array(z.string()).max(1), ['', ''], 'must have at most 1 entries'],
    [z.number().gt(3), 3, 'must be more than 3'],
    [z.number().max(3), 4, 'must be at most 3'],
    [z.number().multipleOf(2), 3, 'must be a multiple of 2'],
    [z.uuid(), 'x', 'must be a UUID'],
    [z.iso.datetime(), 'x', 'must be a time in ISO 8601, like 2030-01-01T00:00:00Z'],
    [z.string().regex(/x/), 'y', 'must match /x/'],
    [z.union([z.string(), z.number()]), true, 'has none of the forms that are known here'],
    [z.string().regex(/x/, 'must have an x'), 'y', 'must have an x'],
  ])('says what would be right, and not in the words of zod (%#)', (schema, value, problem) => {
    expect(faults(z.object({ field: schema }), { field: value })).toEqual([{ field: 'field', problem }]);
  });

  it('says the same of the names of a map', () => {
    expect(faults(z.record(z.string().max(1), z.string()), { ab: 'x' })).toEqual([
      { field: 'ab', problem: 'the name must have at most 1 characters' },
    ]);
  });
});
