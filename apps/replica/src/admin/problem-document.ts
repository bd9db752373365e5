import { ERRORS, type HelioError, problemType } from '#model';
import type { ProblemDocument } from '#platform';

/** What the admin port says of an error. @param path that was asked for, without its query */
export function problemDocument(error: HelioError, path: string): string {
  const problem: ProblemDocument = {
    type: problemType(error.code),
    title: ERRORS[error.code].title,
    status: error.status,
    code: error.code,
    detail: error.detail,
    instance: path,
    ...(error.fields.length > 0 ? { errors: error.fields } : {}),
  };
  return JSON.stringify(problem);
}
