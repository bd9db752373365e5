import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Postgres, startPostgres } from './server.js';

const running: Postgres[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
});

function newDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'heliograph-postgres-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true, maxRetries: 10 }));
  return dir;
}

/** Holds a cluster that was stopped, with the table `kept`; made once, since initdb takes its time. */
let used: string;
beforeAll(async () => {
  used = mkdtempSync(join(tmpdir(), 'heliograph-postgres-'));
  const server = await start(used);
  await query(server.url, 'CREATE TABLE kept AS SELECT 7 AS n');
  await server.stop();
});
afterAll(() => rmSync(used, { recursive: true }));

function usedDir(): string {
  const dir = newDir();
  execFileSync('cp', ['-a', join(used, 'postgres'), dir]);
  return dir;
}

async function start(dir: string): Promise<Postgres> {
  const options = { dir: join(dir, 'postgres'), port: 0, log: join(dir, 'log'), database: 'trial' };
  const server = await startPostgres({ ...options, settings: { fsync: 'off' } });
  running.push(server);
  return server;
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  client.on('error', () => {}); // its server is killed in a test
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

function commandLines(): string {
  return execFileSync('ps', ['-axww', '-o', 'pid=,args='], { encoding: 'utf8' });
}

describe('startPostgres', () => {
  it('makes a cluster, keeps its data and its password across starts, and leaves no process', async () => {
    const dir = newDir();
    const first = await start(dir);
    await query(first.url, 'CREATE TABLE kept AS SELECT 7 AS n');
    const name = (await query(first.url, 'SHOW cluster_name'))[0]?.['cluster_name'] as string;
    expect(commandLines()).toContain(name);
    await first.stop();
    await expect(first.exited).resolves.toBe('exit code 0');
    expect(commandLines()).not.toContain(name);

    const second = await start(dir);
    await expect(query(second.url, 'SELECT n FROM kept')).resolves.toEqual([{ n: 7 }]);
    expect(new URL(second.url).password).toBe(new URL(first.url).password);
    expect(statSync(join(dir, 'postgres', 'password')).mode & 0o777).toBe(0o600);
  });

  it('asks for the password', async () => {
    const url = new URL((await start(usedDir())).url);
    url.password = 'guessed';
    await expect(query(url.href, 'SELECT')).rejects.toMatchObject({ code: '28P01' });
  });

  it('ends a server that an earlier start left behind, and starts again on its data', async () => {
    const dir = usedDir();
    const orphan = await start(dir);
    const next = await start(dir);
    await expect(orphan.exited).resolves.toBe('exit code 0');
    await expect(query(next.url, 'SELECT n FROM kept')).resolves.toEqual([{ n: 7 }]);
  });

  it('recovers what was committed before a kill -9', async () => {
    const dir = usedDir();
    const killed = await start(dir);
    await query(killed.url, 'INSERT INTO kept VALUES (8)');
    process.kill(killed.pid, 'SIGKILL');
    await expect(killed.exited).resolves.toBe('SIGKILL');
    const next = await start(dir);
    await expect(query(next.url, 'SELECT n FROM kept')).resolves.toEqual([{ n: 7 }, { n: 8 }]);
  });

  it('leaves a process alone that has got the number of a server that is gone', async () => {
    const dir = usedDir();
    const gone = await start(dir);
    await gone.stop();
    const pidFile = join(dir, 'postgres', 'data', 'postmaster.pid');
    writeFileSync(pidFile, `${process.pid}\n${join(dir, 'postgres', 'data')}\n0\n0\n\n\n0 0\nready\n`);
    const next = await start(dir);
    expect(readFileSync(pidFile, 'utf8').split('\n')[0]).toBe(`${next.pid}`);
  });

  it.runIf(process.getuid?.() === 0).each([
    ['everybody', 0o755],
    ['only root', 0o700],
  ])('run by root, is another user, below a directory that %s may enter', async (_who, mode) => {
    const dir = newDir();
    chmodSync(dir, mode);
    const server = await start(dir);
    const owner = execFileSync('ps', ['-o', 'uid=', '-p', `${server.pid}`], { encoding: 'utf8' }).trim();
    expect(owner).not.toBe('0');
    expect(owner).toBe(`${statSync(join(dir, 'postgres')).uid}`);
  });

  it('says why it does not start, with the end of the log', async () => {
    const dir = usedDir();
    const other = await start(dir);
    const port = Number(new URL(other.url).port);
    const options = { dir: join(dir, 'second'), port, log: join(dir, 'log'), database: 'trial' };
    await expect(startPostgres(options)).rejects.toThrow(/did not start \(exit code 1\).*could not bind IPv4 address/s);
    await other.stop();
    writeFileSync(join(dir, 'postgres', 'data', 'PG_VERSION'), '9\n');
    await expect(start(dir)).rejects.toThrow(/was initialized by PostgreSQL version 9/);
  });

  it('begins again where an initdb was cut off', async () => {
    const dir = usedDir();
    // as it looks when the process was killed before the cluster got its name
    execFileSync('mv', [join(dir, 'postgres', 'data'), join(dir, 'postgres', 'initdb-0123')]);
    const second = await start(dir);
    await expect(query(second.url, 'SELECT 1 AS one')).resolves.toEqual([{ one: 1 }]);
    expect(() => statSync(join(dir, 'postgres', 'initdb-0123'))).toThrow('ENOENT');
  });
});
