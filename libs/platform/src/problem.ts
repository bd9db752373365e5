import { z } from 'zod';

/** One thing that is wrong with one field of an input. */
export interface FieldFault {
  /** where it is: a JSON path such as `routes[2].path`, a query parameter, a header or an environment variable */
  field: string;
  /** what is wrong with the value that was given */
  problem: string;
  /** what would have been right */
  expected?: string;
}

/** A problem document (RFC 9457) with a stable `code`; `errors` names each faulty field. */
export interface ProblemDocument {
  type: string;
  title: string;
  status: number;
  code: string;
  detail: string;
  instance?: string;
  requestId?: string;
  errors?: FieldFault[];
}

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

const MAX_FAULTS = 50;

/** Faults of a zod error, one per field that is wrong; unknown fields are named one by one. At most 50. */
export function faultsOf(error: z.ZodError, root = ''): FieldFault[] {
  return error.issues.flatMap((issue) => faultsOfIssue(issue, root)).slice(0, MAX_FAULTS);
}

function faultsOfIssue(issue: z.core.$ZodIssue, root: string): FieldFault[] {
  const field = pathText(issue.path, root);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      field: pathText([...issue.path, key], root),
      problem: 'is not a known field',
      expected: 'leave it out, or correct its spelling',
    }));
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    // the branch that got furthest is the one the caller most likely meant
    const best = [...issue.errors].sort((a, b) => deepest(b) - deepest(a) || a.length - b.length)[0] ?? [];
    if (best.length > 0 && deepest(best) > 0) {
      return best.flatMap((inner) => faultsOfIssue({ ...inner, path: [...issue.path, ...inner.path] }, root));
    }
  }
  if (issue.code === 'invalid_key')
    return issue.issues.map((inner) => ({ field, problem: `the name ${inner.message}` }));
  return [{ field, problem: inWords(issue.message) }];
}

/** zod's own texts for a value that is missing or of another type; ours are sentences already. */
function inWords(message: string): string {
  const [, expected, received] = /^Invalid input: expected (\w+), received (\w+)$/.exec(message) ?? [];
  if (expected === undefined || received === undefined) return message;
  return received === 'undefined' ? `must be given (${expected})` : `must be of the type ${expected}, not ${received}`;
}

function deepest(issues: z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map((issue) => issue.path.length + (issue.code === 'unrecognized_keys' ? 1 : 0)));
}

function pathText(path: PropertyKey[], root: string): string {
  let text = root;
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? String(part) : `.${String(part)}`;
  }
  return text === '' ? '(whole)' : text;
}
