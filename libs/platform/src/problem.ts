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
    return issue.issues.map((inner) => ({ field, problem: `the name ${inWords(inner)}` }));
  return [{ field, problem: inWords(issue) }];
}

/** zod's own texts all begin with one of two words; those of our schemas are sentences about the field already. */
function inWords(issue: z.core.$ZodIssue): string {
  if (!/^(Invalid|Too) /.test(issue.message)) return issue.message;
  switch (issue.code) {
    case 'invalid_type': {
      const received = / received (\w+)$/.exec(issue.message)?.[1] ?? 'another one';
      const { expected } = issue;
      return received === 'undefined'
        ? `must be given (${expected})`
        : `must be of the type ${expected}, not ${received}`;
    }
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`;
    case 'too_small':
      return bound(issue, issue.inclusive ? 'at least' : 'more than', issue.minimum);
    case 'too_big':
      return bound(issue, issue.inclusive ? 'at most' : 'less than', issue.maximum);
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    case 'invalid_format':
      return FORMATS[issue.format] ?? `must match ${issue.pattern ?? issue.format}`;
    default:
      return 'has none of the forms that are known here';
  }
}

const FORMATS: Record<string, string> = {
  uuid: 'must be a UUID',
  datetime: 'must be a time in ISO 8601, like 2030-01-01T00:00:00Z',
};

function bound({ origin, exact }: { origin: string; exact?: boolean }, than: string, limit: number | bigint): string {
  const what = origin === 'string' ? ' characters' : ['array', 'set', 'map'].includes(origin) ? ' entries' : '';
  return `must ${what ? 'have' : 'be'} ${exact ? 'exactly' : than} ${limit}${what}`;
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
