/**
 * An array as PostgreSQL writes it, of values without quotes and backslashes: numbers, UUIDs, ids. pg itself would look for those
 * in each of them, which is a good part of what a statement about thousands of rows costs.
 */
export function plainArray(values: readonly (number | string)[]): string {
  return values.length === 0 ? '{}' : `{"${values.join('","')}"}`; // an environment may be called null
}
