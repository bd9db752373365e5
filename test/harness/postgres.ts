import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';

declare module 'vitest' {
  interface ProvidedContext {
    /** the server of this run, or why there is none; put there by test/global-setup.ts */
    postgres: { url: string } | { missing: string };
  }
}

export interface FreshDatabase {
  /** of an empty database with the master's schema, as a superuser */
  url: string;
  /** Removes it, whoever is still connected. It goes with the server at the end of the run in any case. */
  drop: () => Promise<void>;
}

const TEMPLATE = 'heliograph_template';
/** Test files run in parallel; the first one that needs the template makes it. Any number of our own. */
const TEMPLATE_LOCK = 4_711_900;

/** The administrative database of the one server that all test files share. */
export function postgres(): { url: string } {
  const server = inject('postgres');
  if ('missing' in server) throw new Error(server.missing);
  return server;
}

/** A database of its own for a suite: a copy of one that has been migrated once. */
export async function freshDatabase(): Promise<FreshDatabase> {
  const name = `t_${randomBytes(8).toString('hex')}`;
  await asAdmin(async (client) => {
    await makeTemplate(client);
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
  });
  return {
    url: urlOf(name),
    drop: () => asAdmin((client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)).then(() => {}),
  };
}

/** What a dump of a database that is read into another one makes: the same rows, at this moment. It disconnects everybody. */
export async function copyDatabase(url: string): Promise<FreshDatabase> {
  const from = new URL(url).pathname.slice(1);
  const name = `t_${randomBytes(8).toString('hex')}`;
  await asAdmin(async (client) => {
    for (let attempt = 0; ; attempt++) {
      await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [from]);
      try {
        await client.query(`CREATE DATABASE ${name} TEMPLATE ${from}`);
        return;
      } catch (error) {
        // somebody was quick to connect again
        if (attempt === 200 || (error as { code?: string }).code !== '55006') throw error;
      }
    }
  });
  return {
    url: urlOf(name),
    drop: () => asAdmin((client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)).then(() => {}),
  };
}

async function makeTemplate(client: pg.Client): Promise<void> {
  await client.query('SELECT pg_advisory_lock($1)', [TEMPLATE_LOCK]);
  try {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [TEMPLATE]);
    if (rowCount !== 0) return;
    const draft = `${TEMPLATE}_draft`; // what a failed migration leaves is never taken for the template
    await client.query(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`);
    await client.query(`CREATE DATABASE ${draft}`);
    // only here: few test files are the first, and all the others need not load TypeORM for it
    const { migrate } = await import('../../apps/master/src/database/data-source.js');
    await migrate(urlOf(draft));
    await client.query(`ALTER DATABASE ${draft} RENAME TO ${TEMPLATE}`);
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [TEMPLATE_LOCK]);
  }
}

async function asAdmin<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(postgres().url);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function urlOf(database: string): string {
  const url = new URL(postgres().url);
  url.pathname = `/${database}`;
  return url.href;
}
