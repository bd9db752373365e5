import { applicationIdOf, splitPlacementKey, TABLE, tableName } from '#model';
import { plainArray } from '../database/arrays.js';

/** Names one entry of a chain. */
export interface Entry {
  table: number;
  key: Buffer;
}

/** An entry as the key of a Map: unlike a Buffer, equal when it names the same. */
export function idOf({ table, key }: Entry): string {
  return `${table}:${key.toString('latin1')}`;
}

/** Entries as the arrays that `unnest` takes: table numbers and keys. */
export function columns(entries: readonly Entry[]): [string, Buffer[]] {
  return [plainArray(entries.map(({ table }) => table)), entries.map(({ key }) => key)];
}

/** An entry for people and logs: `placement weather:v1@eu-west`. */
export function entryName(entry: Entry): string {
  return `${tableName(entry.table)} ${keyName(entry)}`;
}

/** Its key alone: ids and names as text, hashes in hexadecimal. */
export function keyName({ table, key }: Entry): string {
  const isText =
    table === TABLE.plan ||
    table === TABLE.setting ||
    table === TABLE.jwks ||
    (table === TABLE.placement && splitPlacementKey(key) !== null);
  if (isText) return key.toString('utf8');
  return table === TABLE.application && key.length === 16 ? applicationIdOf(key) : key.toString('hex');
}
