import { z } from 'zod';

/** A line of text that people write: not empty, bounded, and of characters that a database and JSON can hold. */
export function lineOfText(max: number): z.ZodString {
  return (
    z
      .string()
      .min(1, 'must not be empty')
      .max(max, `must have at most ${max} characters`)
      // oxlint-disable-next-line no-control-regex -- they are what is refused
      .regex(/^[^\u0000-\u001f\u007f]*$/u, 'must not have control characters')
      .regex(/^\P{Surrogate}*$/u, 'must not have half of a surrogate pair')
  );
}
