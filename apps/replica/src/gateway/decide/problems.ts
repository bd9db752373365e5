import { type ErrorCode, ERRORS, problemType } from '#model';
import { PROBLEM_TYPE } from '#platform';

/** What every problem document of a code begins with. */
const PREFIX = new Map<string, string>(
  // A relative reference to the documentation would point into the API that the caller called.
  Object.entries(ERRORS).map(([code, { title }]) => [
    code,
    `${JSON.stringify({ type: problemType(code as ErrorCode), title, code }).slice(0, -1)},"status":`,
  ]),
);

export interface Problem {
  status: number;
  code: ErrorCode;
  headers: string[];
  body: string;
}

/**
 * @param detail one sentence about this very case, for the caller
 * @param headers names and values in turn
 * @param status where HTTP has a more exact one than the code
 * @param members more of the document: JSON that begins with a comma
 */
export function problem(
  code: ErrorCode,
  detail: string,
  requestId: string,
  headers: readonly string[] = [],
  status: number = ERRORS[code].status,
  members = '',
): Problem {
  return {
    status,
    code,
    headers: ['Content-Type', PROBLEM_TYPE, ...headers],
    body: `${PREFIX.get(code)}${status},"detail":${JSON.stringify(detail)},"requestId":${JSON.stringify(requestId)}${members}}`,
  };
}
