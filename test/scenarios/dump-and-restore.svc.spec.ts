import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, postgres, until } from '#harness';
import { requireBinary } from '../harness/services.js';
import { type Server, startServer } from '../harness/standby.js';
import { type Consumer, REGIONS, Rig } from './rig.js';

const run = promisify(execFile);
/** One of the callers asks so often. */
const ASK_MS = 100;
const PATH = '/weather/v1/today';

let source: Server;
let rig: Rig;
/** the database into which the dump is read: of another server, and mostly of a newer version of PostgreSQL */
let restored: string;
let programs: string;

/** On the server that all tests share. */
async function asAdmin(sql: string): Promise<void> {
  const client = new pg.Client(postgres().url);
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Asks every region again and again. */
class Caller {
  /** every answer that there was, and that there was none */
  readonly answers = new Set<string>();
  private open = true;
  private readonly asking: Promise<unknown>;

  constructor(secret: string) {
    this.asking = Promise.all(
      REGIONS.map(async (region) => {
        while (this.open) {
          this.answers.add(
            await rig.call(region, PATH, secret).then(
              ({ status, code }) => `${status} ${code ?? ''}`.trim(),
              (error: unknown) => String(error),
            ),
          );
          await new Promise((resolve) => setTimeout(resolve, ASK_MS));
        }
      }),
    );
  }

  async stop(): Promise<string[]> {
    this.open = false;
    await this.asking;
    return [...this.answers];
  }
}

async function newKey(application: string): Promise<{ id: string; secret: string }> {
  const path = `/v1/applications/${application}/keys?applied=all`;
  const { body } = await rig.master.client.post(path, { environment: 'prod' }, { headers: { prefer: 'wait=30' } });
  return body;
}

const answersOf = (path: string, secret: string): Promise<string> =>
  Promise.all(REGIONS.map((region) => rig.call(region, path, secret))).then((all) =>
    all.map(({ status }) => status).join(),
  );

describeWith('postgres', 'a dump of the database that is read into an empty one', () => {
  beforeAll(async () => {
    programs = dirname(realpathSync(requireBinary('postgres'))); // a link to the server alone may be on PATH
    source = await startServer(undefined, programs);
    rig = await Rig.start(() => Promise.resolve({ url: source.url, drop: () => source.stop() }));
    const name = `t_${randomBytes(8).toString('hex')}`;
    await asAdmin(`CREATE DATABASE ${name}`);
    restored = new URL(`/${name}`, postgres().url).href;
  });
  afterAll(async () => {
    await rig?.stop();
    if (restored) await asAdmin(`DROP DATABASE ${new URL(restored).pathname.slice(1)} WITH (FORCE)`);
  });

  it('R9 is gone on from without a question: no revocation is undone at any moment, and what was lost is named', async () => {
    await rig.publish('weather');
    const held: Consumer = await rig.consumer('weather:v1');
    const lost = await newKey(held.application);
    const dump = join(rig.directory, 'backup');
    await run(join(programs, 'pg_dump'), ['--format=custom', `--file=${dump}`, '--dbname', source.url]);

    const { client } = rig.master;
    const issued = await newKey(held.application);
    await rig.publish('maps');
    const revoke = `/v1/applications/${held.application}/keys/${lost.id}/revoke?applied=all`;
    await client.post(revoke, {}, { headers: { prefer: 'wait=30' }, status: 200 });
    expect(await answersOf(PATH, issued.secret)).toBe('200,200');
    await until(async () => (await answersOf('/maps/v1/here', issued.secret)) === '403,403', { what: 'maps to serve' });

    const office = async (): Promise<{ state: string; revision: number }> =>
      (await rig.master.client.get('/v1/environments/prod/office')).body;
    const before = await office();
    const callers = [new Caller(lost.secret), new Caller(held.secret)] as const;
    rig.master.kill('SIGKILL');
    await rig.master.exited;
    await run(join(programs, 'pg_restore'), ['--no-owner', '--exit-on-error', '-d', restored, dump]);
    rig.master = await rig.master.again({ DATABASE_URL: restored });
    const again = await until(
      async () => {
        const now = await office();
        return now.state === 'publishing' && now;
      },
      { what: 'the master to publish', within: 60_000 },
    );
    expect(again.revision).toBeGreaterThanOrEqual(before.revision); // it does not say so before it has taken over what it lacked
    // it is on no row: the key is not known, the API has no placement
    await until(async () => (await answersOf(PATH, issued.secret)) === '401,401', { what: 'the key to be refused' });
    await until(async () => (await answersOf('/maps/v1/here', held.secret)) === '404,404', { what: 'maps to go' });
    const next = await newKey(held.application);
    expect(await answersOf(PATH, next.secret)).toBe('200,200');
    expect(await callers[0].stop()).toEqual(['401 credential_revoked']);
    expect(await callers[1].stop()).toEqual(['200']);

    const [report] = await rig.master.client.all('/v1/restore-report');
    expect(report).toMatchObject({ environment: 'prod', revocationsKept: 1, missing: null, dropped: null });
    expect(report.finishedAt).not.toBeNull();
    const items = await rig.master.client.all(`/v1/restore-report/${report.id}`);
    expect(items).toContainEqual(
      expect.objectContaining({ kind: 'kept', what: 'key', target: expect.stringContaining(lost.id) }),
    );
    const removed = items.filter(({ kind, what }) => kind === 'changed' && what === 'removed');
    expect(removed.map(({ target }) => target)).toEqual([
      expect.stringMatching(/^key [0-9a-f]{32}$/), // as the chain names it: no row knows another name
      'placement maps:v1@*',
    ]);
    expect((await rig.master.client.get(`/v1/applications/${held.application}/keys/${lost.id}`)).body).toMatchObject({
      status: 'revoked',
    });
  });
});
