import { FormatError } from '#artifacts';

/** One object is missing or no good, and no way around it was found. */
export class CatchUpError extends Error {
  constructor(
    /** its name in the store */
    readonly object: string,
    /** an `ArtifactFault`, `object_missing` or `fork` */
    readonly code: string,
    detail: string,
  ) {
    super(`${object}: ${detail}`);
    this.name = 'CatchUpError';
  }

  /** What was found wrong in the bytes of an object; other errors stay as they are. */
  static of(object: string, error: unknown): unknown {
    return error instanceof FormatError ? new CatchUpError(object, error.code, error.message) : error;
  }
}
