import { execFileSync } from 'node:child_process';
import { appendFileSync, chownSync, mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startPostgres } from '../../apps/local/src/postgres/index.js';
import { guard } from './daemon.js';
import { until } from './until.js';

/** A PostgreSQL server of its own, that others can follow. */
export interface Server {
  url: string;
  dir: string;
  stop(): Promise<void>;
  run(sql: string): Promise<Record<string, unknown>[]>;
}

const SETTINGS = { fsync: 'off', full_page_writes: 'off', wal_level: 'replica', hot_standby: 'on' };

/** @param programs the folder of PostgreSQL's own; default: those that npm brought, which lack all but the server's */
export async function startServer(
  dir = mkdtempSync(join(tmpdir(), 'heliograph-server-')),
  programs?: string,
): Promise<Server> {
  const server = await startPostgres({
    dir,
    port: 0,
    log: `${dir}.log`,
    database: 'postgres',
    settings: SETTINGS,
    ...(programs && { binaries: { initdb: join(programs, 'initdb'), postgres: join(programs, 'postgres') } }),
  });
  const dismiss = guard(server.pid, dir);
  return {
    url: server.url,
    dir,
    stop: async () => {
      await server.stop();
      dismiss();
    },
    run: async (sql) => {
      const client = new pg.Client(server.url);
      await client.connect();
      try {
        return (await client.query<Record<string, unknown>>(sql)).rows;
      } finally {
        await client.end();
      }
    },
  };
}

/** A standby that streams from `primary`: a base backup, made by hand, since the programs at hand have no pg_basebackup. */
export async function startStandby(primary: Server): Promise<Server> {
  const dir = mkdtempSync(join(tmpdir(), 'heliograph-standby-'));
  const write = (name: string, text: string): void => {
    const { uid, gid } = statSync(join(dir, 'data'));
    writeFileSync(join(dir, 'data', name), text);
    chownSync(join(dir, 'data', name), uid, gid); // as root the server runs as another user
  };
  const client = new pg.Client(primary.url);
  await client.connect();
  try {
    await client.query(`SELECT pg_backup_start('standby', true)`);
    execFileSync('cp', ['-a', `${primary.dir}/.`, dir]); // with their owner
    const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
    write('backup_label', rows[0]?.labelfile ?? '');
  } finally {
    await client.end();
  }
  write('standby.signal', '');
  const { hostname, port, username, password } = new URL(primary.url);
  const from = `host=${hostname} port=${port} user=${username} password=${password}`;
  // in the file that ALTER SYSTEM writes, so that it can be taken away again
  appendFileSync(join(dir, 'data', 'postgresql.auto.conf'), `primary_conninfo = '${from}'\n`);
  return startServer(dir);
}

/** What the primary writes from now on, the standby does not get. */
export async function cutStandby(standby: Server): Promise<void> {
  await standby.run(`ALTER SYSTEM SET primary_conninfo = ''`);
  await standby.run('SELECT pg_reload_conf()');
  const receivers = 'SELECT FROM pg_stat_wal_receiver';
  await until(async () => (await standby.run(receivers)).length === 0, { what: 'the standby to be cut off' });
}

/** The standby takes writes from now on, with what it has. */
export async function promote(standby: Server): Promise<void> {
  await standby.run('SELECT pg_promote(true, 60)');
  await until(async () => (await standby.run('SELECT pg_is_in_recovery() AS follows'))[0]?.follows === false, {
    what: 'the standby to be promoted',
  });
}
