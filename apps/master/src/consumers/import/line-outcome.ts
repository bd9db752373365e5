import { fail, type HelioError } from '#model';

export type LineOutcome =
  | { ok: true; outcome: 'created' | 'updated' | 'unchanged'; id: string }
  | { ok: false; error: HelioError };

/** Lines of one transaction, with their places in the batch. */
export type Placed<T> = { index: number; line: T };

export function noSuchApplication(id: string): HelioError {
  return reference('application', `there is no application "${id}"`);
}

export function reference(field: string, problem: string): HelioError {
  return fail('unknown_reference', problem, { fields: [{ field, problem }] });
}
