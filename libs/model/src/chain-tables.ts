/** The tables of the chain. The numbers are part of the format: they never change and are never used twice. */
export const TABLE = {
  release: 1,
  placement: 2,
  plan: 3,
  application: 4,
  key: 5,
  jwks: 6,
  revoked_token: 7,
  setting: 8,
  client: 9,
} as const;
export type TableName = keyof typeof TABLE;
export type TableId = (typeof TABLE)[TableName];

const NAMES = new Map<number, TableName>(Object.entries(TABLE).map(([name, id]) => [id, name as TableName]));

/** The name of a table for people, `table-99` for one that this build does not know. */
export function tableName(id: number): string {
  return NAMES.get(id) ?? `table-${id}`;
}

/** One change of one entry. `value` null: the entry is gone. */
export interface Op {
  table: number;
  key: Buffer;
  value: Buffer | null;
}
