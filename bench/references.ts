import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { request } from 'undici';
import { freePorts } from '../test/harness/free-ports.js';
import { type Seen, paced } from './paced.js';

const WITHIN_MS = 30_000;

/** Who waits for what, and was it there already. */
class Sightings {
  private readonly seen = new Map<string, number>();
  private readonly waiting = new Map<string, (at: number) => void>();

  saw(name: string): void {
    const at = performance.now();
    this.seen.set(name, at);
    this.waiting.get(name)?.(at);
  }

  of(name: string): Promise<number> {
    const at = this.seen.get(name);
    return at === undefined ? new Promise((resolve) => this.waiting.set(name, resolve)) : Promise.resolve(at);
  }
}

/**
 * etcd, one member that syncs to this disk: put -> a watcher has the event. Over its JSON gateway, as that needs no library.
 *
 * @returns null where there is no etcd (Debian: apt-get install etcd-server)
 */
export async function etcdWatch(
  watchers: number,
  rate: number,
  seconds: number,
): Promise<{ name: string; seen: Seen } | null> {
  const version = /etcd Version: (\S+)/.exec(spawnSync('etcd', ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1];
  if (!version) return null;
  const dir = mkdtempSync(join(tmpdir(), 'helio-bench-etcd-'));
  const [client = 0, peer = 0] = await freePorts(2);
  const url = `http://127.0.0.1:${client}`;
  const urls = [
    '--listen-client-urls',
    url,
    '--advertise-client-urls',
    url,
    '--listen-peer-urls',
    `http://127.0.0.1:${peer}`,
  ];
  const child = spawn('etcd', ['--data-dir', dir, ...urls], { stdio: 'ignore' });
  const ends = new AbortController();
  try {
    await healthy(`${url}/health`);
    const sightings = Array.from({ length: watchers }, () => new Sightings());
    const watching = sightings.map((each) => watch(url, each, ends.signal));
    await Promise.all(watching.map(({ created }) => created));
    const seen = await paced(rate, seconds, async (number) => {
      const key = `key/${number}`;
      const value = base64('x'.repeat(41));
      const { body } = await request(`${url}/v3/kv/put`, {
        method: 'POST',
        body: JSON.stringify({ key: base64(key), value }),
      });
      await body.text();
      return { answered: performance.now(), seen: (sightings[number % watchers] as Sightings).of(key) };
    });
    return { name: `etcd ${version}`, seen };
  } finally {
    ends.abort();
    child.kill('SIGTERM');
    await once(child, 'exit');
    rmSync(dir, { recursive: true, force: true });
  }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

async function healthy(url: string): Promise<void> {
  for (const began = performance.now(); performance.now() - began < WITHIN_MS; await sleep(20)) {
    const text = await request(url).then(
      ({ body }) => body.text(),
      () => '',
    );
    if (text.includes('true')) return;
  }
  throw new Error(`${url} was not healthy in ${WITHIN_MS} ms`);
}

/** One watcher of everything below `key/`: an endless answer, one JSON document a line. */
function watch(url: string, sightings: Sightings, signal: AbortSignal): { created: Promise<void> } {
  const body = JSON.stringify({ create_request: { key: base64('key/'), range_end: base64('key0') } });
  let created!: () => void;
  const isCreated = new Promise<void>((resolve) => (created = resolve));
  const read = async (): Promise<void> => {
    const answer = await request(`${url}/v3/watch`, { method: 'POST', body, signal, bodyTimeout: 0 });
    let rest = '';
    for await (const chunk of answer.body) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const { result } = JSON.parse(line) as { result: { created?: boolean; events?: { kv: { key: string } }[] } };
        if (result.created) created();
        for (const { kv } of result.events ?? []) sightings.saw(Buffer.from(kv.key, 'base64').toString());
      }
    }
  };
  read().catch(() => undefined); // by the signal, when the measurement is over
  return { created: isCreated };
}

/** The floor: a row and a NOTIFY in one transaction -> a connection that listens has it. */
export async function notifyListen(
  databaseUrl: string,
  listeners: number,
  rate: number,
  seconds: number,
): Promise<Seen> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 16 });
  await pool.query('CREATE TABLE bench_notify (id int PRIMARY KEY, at timestamptz DEFAULT now())');
  const sightings = Array.from({ length: listeners }, () => new Sightings());
  const clients = await Promise.all(
    sightings.map(async (each) => {
      const client = new pg.Client(databaseUrl);
      await client.connect();
      client.on('notification', ({ payload }) => each.saw(payload ?? ''));
      await client.query('LISTEN bench_notify');
      return client;
    }),
  );
  // one round trip: as few as it can be
  const text = `WITH written AS (INSERT INTO bench_notify (id) VALUES ($1) RETURNING id)
    SELECT pg_notify('bench_notify', id::text) FROM written`;
  try {
    return await paced(rate, seconds, async (number) => {
      await pool.query({ name: 'bench_notify', text, values: [number] });
      return { answered: performance.now(), seen: (sightings[number % listeners] as Sightings).of(String(number)) };
    });
  } finally {
    await Promise.all(clients.map((client) => client.end()));
    await pool.query('DROP TABLE bench_notify');
    await pool.end();
  }
}
