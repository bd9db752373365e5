/**
 * JSON that a jsonb column takes, of text that comes from outside: PostgreSQL knows no NUL in a text, and no half of a
 * surrogate pair. Both become the replacement character.
 */
export function jsonbText(value: object): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'string' ? member.replaceAll('\0', '\uFFFD').toWellFormed() : member,
  );
}
