import type pg from 'pg';
import { type EntityManager, QueryFailedError } from 'typeorm';

/** A statement that each connection parses and plans once, under its name; TypeORM knows of no such thing. */
export interface PreparedStatement {
  name: string;
  text: string;
}

/**
 * Runs a prepared statement on the connection of `manager`: in the transaction that it is in, or as one by itself.
 *
 * @throws QueryFailedError as TypeORM's own queries do
 */
export async function prepared<T extends object>(
  manager: EntityManager,
  { name, text }: PreparedStatement,
  values: unknown[],
): Promise<T[]> {
  const client = (await manager.queryRunner?.connect()) as pg.ClientBase | undefined;
  if (!client) throw new Error(`${name} has no connection to run on`);
  try {
    return (await client.query<T>({ name, text, values })).rows;
  } catch (error) {
    throw new QueryFailedError(text, values, error as Error);
  }
}
