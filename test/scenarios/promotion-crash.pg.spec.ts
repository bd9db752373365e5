import { Client, until } from '#harness';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PromotionRig } from './promotion-rig.js';

/** Any number of our own. */
const BARRIER = 4_711_777;

interface Step {
  /** what it writes: state, input and wave */
  event: string;
  /** what is asked for; else it comes by itself */
  asks?: 'create' | 'rollbacks' | 'approve' | 'reject' | 'pause' | 'resume' | 'skip' | 'abort' | 'rollback';
}

interface Script {
  /** also of its environment: what is in the middle of a transition holds the placements of one */
  name: string;
  /** seconds */
  soak: number;
  /** a replica of the second wave has joined, and says nothing */
  silent?: boolean;
  steps: Step[];
}

const asked = (asks: Step['asks'], event: string): Step => ({ event, asks });
const itself = (event: string): Step => ({ event });

/** Every transition that there is, in promotions of two APIs that change together. */
const SCRIPTS: Script[] = [
  {
    name: 'completed',
    soak: 0,
    steps: [
      asked('create', 'requested create 0'),
      asked('approve', 'approved approve 0'),
      itself('rolling start 1'),
      itself('soaking acknowledged 1'),
      itself('rolling passed 2'),
      itself('soaking acknowledged 2'),
      itself('completed passed 2'),
      asked('rollback', 'rolling-back rollback 2'),
      itself('rolled-back restored 2'),
    ],
  },
  {
    name: 'paused',
    soak: 3600,
    steps: [
      asked('create', 'requested create 0'),
      asked('approve', 'approved approve 0'),
      itself('rolling start 1'),
      itself('soaking acknowledged 1'),
      asked('pause', 'paused pause 1'),
      asked('resume', 'rolling resume 1'),
      itself('soaking acknowledged 1'),
      asked('skip', 'rolling skip 2'),
      itself('soaking acknowledged 2'),
      asked('abort', 'rolling-back abort 2'),
      itself('rolled-back restored 2'),
    ],
  },
  {
    name: 'rejected',
    soak: 0,
    steps: [asked('create', 'requested create 0'), asked('reject', 'rejected reject 0')],
  },
  {
    name: 'failed',
    soak: 0,
    silent: true,
    steps: [
      asked('create', 'requested create 0'),
      asked('approve', 'approved approve 0'),
      itself('rolling start 1'),
      itself('soaking acknowledged 1'),
      itself('rolling passed 2'),
      itself('rolling-back failed 2'),
      itself('rolled-back restored 2'),
    ],
  },
  {
    name: 'given-back',
    soak: 0,
    steps: [asked('rollbacks', 'rolling-back create 0'), itself('rolled-back restored 1')],
  },
];

function apisOf(run: string, script: string): [string, string] {
  return [`${run}-${script}`, `${run}-${script}-too`];
}

/** An environment of its own, where the first releases serve in one of three regions. */
async function settle({ name, silent }: Script): Promise<void> {
  const { client } = rig.master;
  await client.post('/v1/environments', { id: name, position: 30 });
  for (const region of regionsOf(name)) await client.post('/v1/regions', { id: region, environment: name });
  await client.put(`/v1/environments/${name}/promotion-policy`, { approvals: 1 }, { headers: { 'if-match': '*' } });
  const items = ['calm', 'crashed'].flatMap((run) =>
    apisOf(run, name).map((api) => ({
      api: `${api}:v1`,
      region: regionsOf(name)[0],
      release: rig.releases.get(api)?.[0],
    })),
  );
  await client.post('/v1/placements', { environment: name, items, reason: 'a test' });
  if (silent) {
    const [, region] = regionsOf(name);
    const { token } = (await client.post('/v1/join-tokens', { region })).body;
    await client.post('/v1/replicas/join', { token, region, environment: name, build: '0.1.0' });
  }
}

function regionsOf(script: string): [string, string, string] {
  return [`${script}-west`, `${script}-east`, `${script}-south`];
}

let rig: PromotionRig;
let approver = '';
beforeAll(async () => {
  const apis = SCRIPTS.flatMap(({ name }) => [...apisOf('calm', name), ...apisOf('crashed', name)]);
  rig = await PromotionRig.start(apis);
  for (const script of SCRIPTS) await settle(script);
  const { body } = await rig.master.client.post('/v1/access-tokens', { name: 'approver', role: 'operator' });
  approver = body.token;
  // who writes the n-th event of a promotion, the last thing but its commit that a transition does, waits for the barrier n
  await rig.pool.query(`
    CREATE FUNCTION wait_at_barrier() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      PERFORM pg_advisory_xact_lock_shared(${BARRIER}, (SELECT count(*)::int FROM event WHERE subject = NEW.subject));
      RETURN NEW;
    END $$`);
});
afterAll(() => rig?.stop());

/** Holds barriers, one at a time. */
class Barrier {
  private constructor(private readonly client: pg.PoolClient) {}

  static async open(): Promise<Barrier> {
    return new Barrier(await rig.pool.connect());
  }

  async hold(n: number): Promise<void> {
    await this.client.query('SELECT pg_advisory_lock($1, $2)', [BARRIER, n]);
  }

  async let(n: number): Promise<void> {
    await this.client.query('SELECT pg_advisory_unlock($1, $2)', [BARRIER, n]);
  }

  /** Waits until so many stand before it. */
  reached(n: number, many: number): Promise<unknown> {
    const sql = `SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = $1 AND objid = $2 AND NOT granted`;
    return until(async () => ((await this.client.query(sql, [BARRIER, n])).rowCount ?? 0) >= many, {
      what: `the transition ${n}`,
      within: 60_000,
    });
  }

  /** Waits until nobody stands before it any more: the transaction of who was killed is rolled back. */
  left(): Promise<unknown> {
    const sql = `SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = $1 AND pid <> pg_backend_pid()`;
    return until(async () => (await this.client.query(sql, [BARRIER])).rowCount === 0, {
      what: 'the dead transaction',
    });
  }

  close(): void {
    this.client.release();
  }
}

/** One script, by promotions of its own. */
class Play {
  id = '';
  private readonly apis: [string, string];

  constructor(
    run: 'calm' | 'crashed',
    readonly script: Script,
  ) {
    this.apis = apisOf(run, script.name);
  }

  async ask(step: Step | undefined): Promise<void> {
    const { client } = rig.master;
    const path = `/v1/promotions/${this.id}/${step?.asks}`;
    if (step?.asks === 'create') this.id = (await client.post('/v1/promotions', this.promotion())).body.id;
    else if (step?.asks === 'rollbacks') this.id = (await client.post('/v1/rollbacks', this.rollback())).body.id;
    else if (step?.asks === 'approve') await new Client(rig.master.url, approver).post(path, {});
    else if (step?.asks) await client.post(path, { reason: 'a test' });
  }

  async has(steps: number): Promise<void> {
    const what = `${this.script.name}: ${this.script.steps[steps - 1]?.event}`;
    await until(async () => this.id !== '' && (await this.end()).events.length >= steps, { what, within: 60_000 });
  }

  end(): ReturnType<PromotionRig['end']> {
    return rig.end(this.id);
  }

  async placements(): Promise<string[]> {
    return (await Promise.all(this.apis.map((name) => rig.placements(name, this.script.name)))).flat();
  }

  private promotion(): object {
    const { name, silent, soak } = this.script;
    const [west, east, south] = regionsOf(name);
    const gates = { minRequests: 0, acknowledgedWithin: silent ? 1 : 300 };
    return { releases: this.releases(1), to: name, strategy: { waves: [[west], [east, south]], soak, gates } };
  }

  private rollback(): object {
    const { name } = this.script;
    return { releases: this.releases(0), environment: name, regions: regionsOf(name).slice(0, 2), reason: 'a test' };
  }

  private releases(n: 0 | 1): object[] {
    return this.apis.map((name) => ({ api: `${name}:v1`, release: rig.releases.get(name)?.[n] }));
  }
}

const playOf = (run: 'calm' | 'crashed'): Play[] => SCRIPTS.map((script) => new Play(run, script));

describe('a master that is killed in the middle of every transition of promotions', () => {
  it('P1 P4 leaves them to end as they would have, with each placement given once, and given back once', async () => {
    const roots = (): Promise<string[]> => Promise.all(SCRIPTS.map(({ name }) => rig.root(name)));
    const before = await roots();
    const calm = playOf('calm');
    for (const play of calm) {
      for (const [n, step] of play.script.steps.entries()) {
        await play.ask(step);
        await play.has(n + 1);
      }
      expect((await play.end()).events).toEqual(play.script.steps.map(({ event }) => event));
    }
    const crashed = playOf('crashed');
    const placements = await Promise.all(crashed.map((play) => play.placements()));
    await killed(crashed);
    for (const [n, play] of crashed.entries()) {
      expect(await play.end()).toEqual(await calm[n]?.end());
      const isGiven = play.script.name === 'given-back';
      expect((await play.placements()).length, play.script.name).toBe(isGiven ? 4 : 2);
      if (!isGiven) expect(await play.placements()).toEqual(placements[n]);
    }
    const items = calm
      .concat(crashed)
      .flatMap(({ script: { name } }) => ['calm', 'crashed'].flatMap((run) => apisOf(run, name)))
      .filter((name, n, all) => name.includes('given-back') && all.indexOf(name) === n)
      .map((name) => ({ api: `${name}:v1`, region: regionsOf('given-back')[1], release: null }));
    await rig.master.client.post('/v1/placements', { environment: 'given-back', items, reason: 'a test' });
    await until(async () => (await roots()).join() === before.join(), { what: 'the roots from before' });
    expect((await rig.pool.query('SELECT FROM job UNION ALL SELECT FROM promotion_lock')).rows).toEqual([]);
  }, 300_000);
});

/** Each master lives until all that is not over stands in the middle of its next transition. */
async function killed(plays: readonly Play[]): Promise<void> {
  await rig.pool.query(
    'CREATE TRIGGER barrier BEFORE INSERT ON event FOR EACH ROW WHEN (NEW.subject LIKE $$promotion/%$$) EXECUTE FUNCTION wait_at_barrier()',
  );
  const barrier = await Barrier.open();
  await barrier.hold(0);
  const most = Math.max(...plays.map(({ script }) => script.steps.length));
  for (let n = 0; n < most; n++) {
    const open = plays.filter(({ script }) => script.steps.length > n);
    const asking = open.map((play) =>
      play.ask(play.script.steps[n]).then(
        () => 'answered',
        () => 'broken off',
      ),
    );
    await barrier.reached(n, open.length);
    await rig.killMaster();
    await abandoned(barrier, n);
    expect(await Promise.all(asking)).toEqual(
      open.map(({ script }) => (script.steps[n]?.asks ? 'broken off' : 'answered')),
    );
    for (const play of open) if (n > 0) expect((await play.end()).events).toHaveLength(n); // nothing of it was done
    await barrier.hold(n + 1);
    await barrier.let(n);
    await rig.restartMaster();
    for (const play of open) await play.ask(play.script.steps[n]);
    for (const play of open) await play.has(n + 1);
  }
  await barrier.let(most);
  barrier.close();
  await rig.pool.query('DROP TRIGGER barrier ON event');
}

/** Its backends find out that nobody is there only when they answer. */
async function abandoned(barrier: Barrier, n: number): Promise<void> {
  await rig.pool.query(
    `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = $1 AND objid = $2 AND NOT granted`,
    [BARRIER, n],
  );
  await barrier.left();
}
