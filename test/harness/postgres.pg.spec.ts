import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { freshDatabase } from './postgres.js';

async function run(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('freshDatabase', () => {
  it('gives each caller the schema of the master, and nothing that another one wrote', async () => {
    const [one, other] = await Promise.all([freshDatabase(), freshDatabase()]);
    await run(one.url, 'CREATE TABLE only_here (n int)');
    const tables = "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'";
    expect(await run(one.url, tables)).toContainEqual({ name: 'only_here' });
    const others = await run(other.url, tables);
    expect(others).toContainEqual({ name: 'outbox' });
    expect(others).not.toContainEqual({ name: 'only_here' });
    await Promise.all([one.drop(), other.drop()]);
  });

  it('drops a database that somebody is still connected to', async () => {
    const { url, drop } = await freshDatabase();
    const client = new pg.Client(url);
    client.on('error', () => {}); // the server ends it
    await client.connect();
    await drop();
    await expect(run(url, 'SELECT')).rejects.toMatchObject({ code: '3D000' });
  });
});
