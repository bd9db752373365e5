import type { HelioError } from '#model';
import { QueryFailedError } from 'typeorm';

/** unique_violation, foreign_key_violation */
const VIOLATIONS = new Set(['23505', '23503']);

/**
 * Waits for a statement, and turns a violated constraint into what the caller gets to read. Checks made before a
 * statement say more, but only the constraint holds when two writes race. The transaction is over afterwards: the error
 * has to be thrown on.
 *
 * @param errors by the constraint's name: `region_pkey`, `region_environment_id_fkey`. A foreign key has the name of the
 *   table that refers, also when it is the other row that cannot be deleted
 * @throws the named HelioError, or what the statement threw
 */
export async function onViolation<T>(statement: Promise<T>, errors: Record<string, () => HelioError>): Promise<T> {
  try {
    return await statement;
  } catch (error) {
    throw errors[violatedConstraint(error) ?? '']?.() ?? error;
  }
}

/** The name of the unique or foreign key constraint that a statement broke; null for any other error. */
function violatedConstraint(error: unknown): string | null {
  if (!(error instanceof QueryFailedError)) return null;
  const { code, constraint } = error.driverError as { code?: string; constraint?: string };
  return code !== undefined && VIOLATIONS.has(code) && constraint !== undefined ? constraint : null;
}
