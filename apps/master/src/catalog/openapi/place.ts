/** Where something stands in a document, from its root: `['paths', '/pets', 'get']`. */
export type Place = readonly (string | number)[];

export type JsonObject = Record<string, unknown>;

/** Long enough for real paths, short enough that 50 of them still make a readable answer. */
export const MAX_PLACE = 300;

/** `paths./pets.get`, `servers[0].url`. */
export function placeText(place: Place): string {
  let text = '';
  for (const part of place) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? part : `.${part}`;
  }
  return text === '' ? '(whole)' : shorten(text, MAX_PLACE);
}

/** Text of a document for a message: at most `max` UTF-16 units, and no half surrogate pairs. */
export function shorten(text: string, max: number): string {
  return (text.length > max ? `${text.slice(0, max - 3)}...` : text).toWellFormed();
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A member that the document itself has, never one that every object inherits (`constructor`). */
export function own(value: unknown, key: string | number): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as JsonObject)[key]
    : undefined;
}

/** Members of an object; none of anything else. */
export function members(value: unknown): [string, unknown][] {
  return isObject(value) ? Object.entries(value) : [];
}

/** What a value is, for messages: `a list`, `the text "3.0"`. */
export function describe(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return `the text ${JSON.stringify(shorten(value, 100))}`;
  if (typeof value === 'number' || typeof value === 'boolean') return `the ${typeof value} ${value}`;
  return `an ${typeof value}`;
}
