import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type Ended, type FreshDatabase, freshDatabase, helio, type Master, startMaster, until } from '#harness';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** that applies come one after the other by: see apply.service.ts of the master */
const APPLY_LOCK = 4_711_012;

const scratch = (): string => mkdtempSync(join(tmpdir(), 'helio-apply-lost-'));
const cwd = scratch();
let database: FreshDatabase;
let master: Master;
let front: Front;

/** What stands before masters: it passes on whole requests, once a master is ready, and has each answer looked at. */
class Front {
  readonly keys: (string | undefined)[] = [];
  /** before a request is passed on */
  sent: () => Promise<void> = () => Promise.resolve();
  /** whether the client gets the answer */
  answered: () => Promise<boolean> = () => Promise.resolve(true);
  private readonly server: Server = createServer((asked, answer) => {
    this.pass(asked, answer).catch(() => asked.socket.destroy());
  });

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async pass(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const body = await buffer(asked);
    this.keys.push(asked.headers['idempotency-key'] as string | undefined);
    await until(async () => (await fetch(`${master.url}/readyz`)).ok, { what: 'a master to be ready' });
    const { method, headers, url } = asked;
    const passed = request(`${master.url}${url}`, { method, headers: { ...headers, host: new URL(master.url).host } });
    const whole = new Promise<{ response: IncomingMessage; bytes: Buffer }>((resolve, reject) => {
      passed.once('error', reject);
      passed.once('response', (response) => {
        buffer(response).then((bytes) => resolve({ response, bytes }), reject);
      });
    });
    passed.end(body);
    void this.sent();
    const { response, bytes } = await whole;
    if (!(await this.answered())) throw new Error('the client is not to get it');
    answer.writeHead(response.statusCode ?? 500, response.headers).end(bytes);
  }
}

let server: string;
beforeAll(async () => {
  database = await freshDatabase();
  master = await startMaster({ database: database.url, store: `file://${scratch()}/store` });
  front = new Front();
  server = await front.listen();
  await master.client.post('/v1/environments', { id: 'dev', position: 10 }, { status: 201 });
});
afterAll(async () => {
  front?.close();
  await master?.stop();
});

const apply = (): Promise<Ended> =>
  helio(['apply', '-f', 'plans.yaml', '--yes'], { cwd, env: { HELIO_SERVER: server, HELIO_TOKEN: master.adminToken } });
const plans = (limit: number): void =>
  writeFileSync(
    join(cwd, 'plans.yaml'),
    ['gold', 'silver'].map((id) => `---\nkind: plan\nid: ${id}\nrate: { limit: ${limit}, per: second }\n`).join(''),
  );

async function killed(): Promise<void> {
  master.kill('SIGKILL');
  await master.exited;
  master = await master.again();
}

describe('an apply whose master is killed', () => {
  it('after it was carried out, and before it was answered, answers the same when it is sent again', async () => {
    plans(1);
    let lost = 0;
    front.answered = async () => {
      if (lost > 0) return true;
      lost += 1;
      await killed();
      return false;
    };
    const ended = await apply();
    expect(ended, ended.stderr).toMatchObject({ code: 0 });
    expect(ended.stdout).toMatch(/^\+ plan gold\n[^]*2 to create, 0 to change[^]*\nApplied: dev@\d+\n$/);
    expect(front.keys.length).toBe(2);
    expect(front.keys[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(front.keys[1]).toBe(front.keys[0]);
    expect(await runs()).toBe(1);
  });

  it('in the middle of it leaves nothing of it, and it is carried out when it is sent again', async () => {
    plans(2);
    front.answered = () => Promise.resolve(true);
    const client = new pg.Client(database.url);
    await client.connect();
    try {
      await client.query('SELECT pg_advisory_lock($1)', [APPLY_LOCK]);
      let hit = false;
      front.sent = async () => {
        if (hit) return;
        hit = true;
        await until(async () => Number((await client.query(WAITING)).rows[0]?.n) > 0, { what: 'the apply to wait' });
        await killed();
        await client.query('SELECT pg_advisory_unlock($1)', [APPLY_LOCK]);
      };
      const ended = await apply();
      expect(ended, ended.stderr).toMatchObject({ code: 0 });
      expect(ended.stdout).toMatch(/^~ plan gold\n[^]*0 to create, 2 to change[^]*\nApplied: dev@\d+\n$/);
      expect(hit).toBe(true);
      expect(await runs()).toBe(2);
    } finally {
      await client.end();
    }
  });
});

const WAITING = `SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = ${APPLY_LOCK}`;

/** How often an apply was carried out. */
async function runs(): Promise<number> {
  const { body } = await master.client.get('/v1/audit?action=apply.run&limit=100');
  return (body as { items: unknown[] }).items.length;
}
