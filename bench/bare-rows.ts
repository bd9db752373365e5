import { randomUUID } from 'node:crypto';
import pg from 'pg';

/**
 * The floor below any write: INSERT and COMMIT of one row, a connection for each client, on the same PostgreSQL.
 *
 * @returns rows per second
 */
export async function bareRows(databaseUrl: string, clients: number, ms: number): Promise<number> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: clients });
  await pool.query('CREATE TABLE IF NOT EXISTS bench_row (id uuid PRIMARY KEY, at timestamptz DEFAULT now())');
  const insert = (): Promise<unknown> =>
    pool.query({ name: 'bench', text: 'INSERT INTO bench_row (id) VALUES ($1)', values: [randomUUID()] });
  await Promise.all(Array.from({ length: clients }, insert)); // connects
  let done = 0;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (performance.now() - began < ms) {
        await insert();
        done += 1;
      }
    }),
  );
  const seconds = (performance.now() - began) / 1000;
  await pool.query('DROP TABLE bench_row');
  await pool.end();
  return done / seconds;
}

/** `PostgreSQL 18.4` */
export async function postgresVersion(databaseUrl: string): Promise<string> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
  await client.end();
  return `PostgreSQL ${rows[0]?.server_version}`;
}
